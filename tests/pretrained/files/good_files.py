"""One small set of weights in every format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from caffe_wire import layer, net
from safetensors.numpy import save_file
from torch_arrays import torch

STATE = {
    "conv/weight": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32),
    "conv/bias": np.arange(4, dtype=np.float32),
    "fc/weight": np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32),
}


def safetensors(folder: Path) -> Path:
    save_file(STATE, folder / "good.safetensors")
    return folder / "good.safetensors"


def pytorch(folder: Path) -> Path:
    torch.save({name: torch.tensor(array) for name, array in STATE.items()}, folder / "good.pth")
    return folder / "good.pth"


def pytorch_old(folder: Path) -> Path:
    state = {name: torch.tensor(array) for name, array in STATE.items()}
    torch.save({"state_dict": state, "epoch": 3}, folder / "old.pth", _use_new_zipfile_serialization=False)
    return folder / "old.pth"


def npz(folder: Path) -> Path:
    np.savez(folder / "good.npz", **STATE)
    return folder / "good.npz"


def npz_compressed(folder: Path) -> Path:
    np.savez_compressed(folder / "compressed.npz", **STATE)
    return folder / "compressed.npz"


def onnx_model(folder: Path) -> Path:
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
    "onnx": onnx_model,
    "caffe": caffe,
}
"""Writers of the weights into a folder, by what they write."""
