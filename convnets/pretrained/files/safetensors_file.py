"""Safetensors files: https://github.com/huggingface/safetensors#format"""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from convnets.pretrained.files.exported import Description, described
from convnets.pretrained.files.unreadable import Unreadable
from convnets.pretrained.files.weights import Contents

TYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}


def read(path: Path) -> Contents:
    """The arrays of the file, each copied out of it once.

    Raises:
      Unreadable: arrays of numbers that NumPy doesn't have.
    """
    arrays = {}
    with safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 (it is no mapping)
            kind = file.get_slice(name).get_dtype()
            if kind not in TYPES:
                raise Unreadable(f"holds {name!r} of {kind}, and what can be read is {', '.join(sorted(TYPES))}")
            arrays[name] = file.get_tensor(name)
    return arrays, ()


def description(path: Path) -> Description:
    """What the header says, each thing in JSON."""
    with safe_open(path, framework="np") as file:
        header = file.metadata() or {}
    return described({name: _from_json(text) for name, text in header.items()})


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
