"""One small set of weights in every format, and what is common to files that are refused."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caffe_wire import layer, net
from safetensors.numpy import save_file
from torch_pickles import in_a_row, whole, zipped

from convnets.errors import InvalidValue
from convnets.pretrained.files import Weights, read_weights

STATE = {
    "conv/weight": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32),
    "conv/bias": np.arange(4, dtype=np.float32),
    "fc/weight": np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32),
}


def onnx_model(path: Path) -> None:
    import onnx

    weights = [onnx.numpy_helper.from_array(array, name) for name, array in STATE.items()]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "net", [], [], weights)), path)


def caffe(path: Path) -> None:
    convolution = layer("conv", "Convolution", STATE["conv/weight"], STATE["conv/bias"])
    path.write_bytes(net(convolution, layer("fc", "InnerProduct", STATE["fc/weight"])))


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "safetensors": ("good.safetensors", lambda path: save_file(STATE, path)),
    "pytorch": ("good.pth", lambda path: zipped(path, *whole(STATE))),
    "pytorch old": ("old.pth", lambda path: in_a_row(path, *whole(STATE))),
    "npz": ("good.npz", lambda path: np.savez(path, **STATE)),
    "npz compressed": ("compressed.npz", lambda path: np.savez_compressed(path, **STATE)),
    "caffe": ("good.caffemodel", caffe),
}
if importlib.util.find_spec("onnx"):
    WRITERS["onnx"] = ("good.onnx", onnx_model)
GOOD = list(WRITERS)


def good(kind: str, folder: Path) -> Path:
    """The file of that kind, written into the folder."""
    name, write = WRITERS[kind]
    write(folder / name)
    return folder / name


def refused(path: Path | str) -> str:
    """The one short sentence with which the file is refused, without its path."""
    with pytest.raises(InvalidValue) as error:
        read_weights(str(path))
    sentence = str(error.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence and len(sentence) < len(str(path)) + 500
    return sentence.removeprefix(f"{path} ")


def assert_same(weights: Weights, expected: dict[str, np.ndarray]) -> None:
    """The arrays have these names, types, shapes and numbers."""
    assert weights.arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(weights.arrays[name], array, strict=True)
