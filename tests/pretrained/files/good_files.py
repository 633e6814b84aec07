"""One small set of weights in every format."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from caffe_wire import layer, net
from safetensors.numpy import save_file
from torch_pickles import in_a_row, whole, zipped

STATE = {
    "conv/weight": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32),
    "conv/bias": np.arange(4, dtype=np.float32),
    "fc/weight": np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32),
}


def safetensors(folder: Path) -> Path:
    save_file(STATE, folder / "good.safetensors")
    return folder / "good.safetensors"


def pytorch(folder: Path) -> Path:
    zipped(folder / "good.pth", *whole(STATE))
    return folder / "good.pth"


def pytorch_old(folder: Path) -> Path:
    in_a_row(folder / "old.pth", *whole(STATE))
    return folder / "old.pth"


def npz(folder: Path) -> Path:
    np.savez(folder / "good.npz", **STATE)
    return folder / "good.npz"


def npz_compressed(folder: Path) -> Path:
    np.savez_compressed(folder / "compressed.npz", **STATE)
    return folder / "compressed.npz"


def onnx_model(folder: Path) -> Path:
    import onnx

    weights = [onnx.numpy_helper.from_array(array, name) for name, array in STATE.items()]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "net", [], [], weights)), folder / "good.onnx")
    return folder / "good.onnx"


def caffe(folder: Path) -> Path:
    convolution = layer("conv", "Convolution", STATE["conv/weight"], STATE["conv/bias"])
    model = net(convolution, layer("fc", "InnerProduct", STATE["fc/weight"]))
    (folder / "good.caffemodel").write_bytes(model)
    return folder / "good.caffemodel"


GOOD: dict[str, Callable[[Path], Path]] = {
    "safetensors": safetensors,
    "pytorch": pytorch,
    "pytorch old": pytorch_old,
    "npz": npz,
    "npz compressed": npz_compressed,
    "caffe": caffe,
}
"""Writers of the weights into a folder, by what they write."""

if importlib.util.find_spec("onnx"):
    GOOD["onnx"] = onnx_model
