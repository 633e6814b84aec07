"""Files of plain arrays: safetensors (https://github.com/huggingface/safetensors#format), NumPy's npz, and ONNX."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from convnets.errors import InvalidValue
from convnets.pretrained.files.weights import Contents, UnreadableFile, described

TYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}


def read_safetensors(path: Path) -> Contents:
    """The arrays of the file, each copied out of it once, and what its header says.

    Raises:
      UnreadableFile: arrays of numbers that NumPy doesn't have.
    """
    arrays = {}
    with safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 (it is no mapping)
            kind = file.get_slice(name).get_dtype()
            if kind not in TYPES:
                raise UnreadableFile(f"holds {name!r} of {kind}, and what can be read is {', '.join(sorted(TYPES))}")
            arrays[name] = file.get_tensor(name)
        header = file.metadata() or {}
    # Each thing is in JSON; an architecture may stand as it is.
    return arrays, described({name: _from_json(text) for name, text in header.items()})


def read_npz(path: Path) -> Contents:
    """The arrays of a file of `numpy.savez` or `numpy.savez_compressed`, and what `network.npz.json` beside it says.

    Raises:
      UnreadableFile: it holds something else than arrays; pickled objects are refused.
    """
    arrays = {}
    # A file that is no archive would be left open by `np.load`.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        for name in archive.files:
            array = archive[name]
            if not isinstance(array, np.ndarray):
                raise UnreadableFile(f"holds {name!r}, which is no array: give a file of numpy.savez")
            arrays[name] = array
    try:
        return arrays, described(json.loads(path.with_name(f"{path.name}.json").read_bytes()))
    except (OSError, ValueError):
        return arrays, {}


def read_onnx(path: Path) -> Contents:
    """The initializers of an ONNX model by their names; the graph isn't looked at.

    Data in other files is read from where the model says, next to it.

    Raises:
      InvalidValue: the package `onnx` is not installed.
      UnreadableFile: there are no initializers, or two of one name.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise InvalidValue(f"{path} is an ONNX file, which takes a package to read: pip install onnx") from error
    model = onnx.load_model(path, load_external_data=False)
    arrays = {}
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            raise UnreadableFile(f"has two initializers {tensor.name!r}: give a model that is whole")
        arrays[tensor.name] = numpy_helper.to_array(tensor, base_dir=str(path.parent))
    if not arrays:
        raise UnreadableFile("holds no initializers: export the model with its weights as initializers")
    return arrays, {}


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
