"""Which format a weight file is in: by its first bytes where they tell, else by its name."""

import zipfile
from pathlib import Path

from convnets.pretrained.files.torch_file import MAGIC_NUMBER, ZIP
from convnets.pretrained.files.unreadable import Unreadable

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


def format_of(path: Path) -> str:
    """The format of the file, as `Weights.format` names it. ONNX and Caffe files are known by their names alone.

    Raises:
      Unreadable: it is in none of the formats.
      OSError: it can't be opened.
    """
    with open(path, "rb") as file:
        beginning = file.read(64)
    if beginning.startswith(POINTER_OF_LFS):
        raise Unreadable("is the pointer that Git LFS keeps in place of the file: fetch the file with `git lfs pull`")
    if beginning.startswith(ZIP) and (found := _in_zip(path)):
        return found
    if MAGIC_NUMBER in beginning:
        return "pytorch"
    length_of_header = int.from_bytes(beginning[:8], "little")
    if beginning[8:9] == b"{" and length_of_header <= path.stat().st_size:
        return "safetensors"
    if by_name := ENDINGS.get(path.suffix.lower()):
        return by_name
    raise Unreadable(
        "is in no known format of weights by its content or its name: known are safetensors (.safetensors), PyTorch "
        "(.pth, .pt, .bin), NumPy (.npz), ONNX (.onnx) and Caffe (.caffemodel)"
    )


def _in_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    # Whatever ails the directory, the reader that the file's name asks for will say so.
    except Exception:
        return None
    if any(name.endswith("/data.pkl") for name in names):
        return "pytorch"
    return "npz" if any(name.endswith(".npy") for name in names) else None
