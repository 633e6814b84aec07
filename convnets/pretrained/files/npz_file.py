"""Archives of `numpy.savez` and `numpy.savez_compressed`."""

import json
from pathlib import Path

import numpy as np

from convnets.pretrained.files.exported import Description, described
from convnets.pretrained.files.unreadable import Unreadable
from convnets.pretrained.files.weights import Contents


def read(path: Path) -> Contents:
    """The arrays of the file; pickled objects in it are refused.

    Raises:
      Unreadable: it holds something else than arrays.
    """
    arrays = {}
    # A file that is no archive would be left open by `np.load`.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        for name in archive.files:
            array = archive[name]
            if not isinstance(array, np.ndarray):
                raise Unreadable(f"holds {name!r}, which is no array: give a file of numpy.savez")
            arrays[name] = array
    return arrays, ()


def description(path: Path) -> Description:
    """What stands beside the file, as in `network.npz.json` beside `network.npz`."""
    try:
        return described(json.loads(path.with_name(f"{path.name}.json").read_bytes()))
    except (OSError, ValueError):
        return Description()
