"""The one door to weight files, of whatever format and wherever they are."""

import contextlib
import dataclasses
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

from convnets.errors import InvalidValue
from convnets.pretrained.files import hub
from convnets.pretrained.files.arrays import read_npz, read_onnx, read_safetensors
from convnets.pretrained.files.caffe import read_caffe
from convnets.pretrained.files.torch_file import MAGIC_NUMBER, ZIP, read_torch
from convnets.pretrained.files.weights import Contents, UnreadableFile, Weights, refusing, uniform

READERS: dict[str, tuple[str, Callable[[Path], Contents]]] = {
    "safetensors": ("a safetensors file", read_safetensors),
    "pytorch": ("a PyTorch file", read_torch),
    "npz": ("an npz file", read_npz),
    "onnx": ("an ONNX file", read_onnx),
    "caffe": ("a Caffe model", read_caffe),
}

ENDINGS = {
    ".safetensors": "safetensors",
    ".pth": "pytorch",
    ".pt": "pytorch",
    ".bin": "pytorch",
    ".npz": "npz",
    ".onnx": "onnx",
    ".caffemodel": "caffe",
}

POINTER_OF_LFS = b"version https://git-lfs.github.com/"


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
        path, origin, normalization = hub.fetch(place)
        weights = _read(path, origin, f"{origin} (kept as {path})")
        return dataclasses.replace(weights, normalization=normalization or weights.normalization)
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
        arrays, said = read(path)
        arrays, notes = uniform(arrays)
    return Weights(arrays, origin, kind, **said | {"notes": (*said.get("notes", ()), *notes)})


def format_of(path: Path) -> str:
    """The format of the file, as `Weights.format` names it. ONNX and Caffe files are known by their names alone.

    Raises:
      UnreadableFile: it is in none of the formats.
      OSError: it can't be opened.
    """
    with open(path, "rb") as file:
        beginning = file.read(64)
    if beginning.startswith(POINTER_OF_LFS):
        raise UnreadableFile(
            "is the pointer that Git LFS keeps in place of the file: fetch the file with `git lfs pull`"
        )
    if beginning.startswith(ZIP):
        # Whatever ails the directory, the reader that the file's name asks for will say so.
        with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith("/data.pkl") for name in names):
                return "pytorch"
            if any(name.endswith(".npy") for name in names):
                return "npz"
    if MAGIC_NUMBER in beginning:
        return "pytorch"
    length_of_header = int.from_bytes(beginning[:8], "little")
    if beginning[8:9] == b"{" and length_of_header <= path.stat().st_size:
        return "safetensors"
    if by_name := ENDINGS.get(path.suffix.lower()):
        return by_name
    raise UnreadableFile(
        "is in no known format of weights by its content or its name: known are safetensors (.safetensors), PyTorch "
        "(.pth, .pt, .bin), NumPy (.npz), ONNX (.onnx) and Caffe (.caffemodel)"
    )
