"""The one door to weight files, of whatever format and wherever they are."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from convnets.errors import InvalidValue
from convnets.pretrained.files import caffe_file, hub, npz_file, onnx_file, safetensors_file, torch_file
from convnets.pretrained.files.exported import Description
from convnets.pretrained.files.formats import format_of
from convnets.pretrained.files.unreadable import refusing
from convnets.pretrained.files.weights import Contents, Weights, uniform

READERS: dict[str, tuple[str, Callable[[Path], Contents]]] = {
    "safetensors": ("a safetensors file", safetensors_file.read),
    "pytorch": ("a PyTorch file", torch_file.read),
    "npz": ("an npz file", npz_file.read),
    "onnx": ("an ONNX file", onnx_file.read),
    "caffe": ("a Caffe model", caffe_file.read),
}

DESCRIPTIONS: dict[str, Callable[[Path], Description]] = {
    "safetensors": safetensors_file.description,
    "npz": npz_file.description,
}
"""Of the formats that weights are exported in from here."""


def read_weights(place: str) -> Weights:
    """The arrays of a weight file, without any code of the file being run.

    The format is that of the file's content where it tells, else of its name: safetensors, PyTorch (the zip files of
    `torch.save` and those before version 1.6), NumPy's npz, ONNX, Caffe. Neither PyTorch nor Caffe is needed.

    Args:
      place: a path, or `hf://owner/name`, `hf://owner/name/file`, `hf://owner/name@revision/file` on the Hugging Face
        hub. Without a file that is `model.safetensors`, or else `pytorch_model.bin`.

    Raises:
      InvalidValue: there is no such file, it is damaged or in no known format, it holds something else than arrays,
        or numbers that are not finite; the hub can't be reached or has no such file.
    """
    if place.startswith(hub.BEGINS):
        found = hub.fetch(place)
        weights = _read(found.path, found.origin, f"{found.origin} (kept as {found.path})")
        return dataclasses.replace(weights, normalization=found.normalization or weights.normalization)
    path = Path(os.path.expanduser(place))
    if path.is_dir():
        raise InvalidValue(f"{place} is a folder, and a folder is no weight file: name a file in it")
    if not path.is_file():
        raise InvalidValue(f"there is no file {place}: give the path of a weight file, or hf://owner/name")
    return _read(path, place, place)


def _read(path: Path, origin: str, named: str) -> Weights:
    with refusing(named, "a weight file"):
        kind = format_of(path)
    in_words, read = READERS[kind]
    with refusing(named, in_words):
        arrays, notes = read(path)
        arrays, more = uniform(arrays)
        said = DESCRIPTIONS[kind](path) if kind in DESCRIPTIONS else Description()
    return Weights(arrays, origin, kind, said.normalization, notes + more, said.classes)
