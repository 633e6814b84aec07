"""A deeper residual network that begins as a shallower one (the lecture's "solution by construction")."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from convnets.pretrained.patterns import Path

BLOCK = re.compile(r"stage\d+_block\d+")


def identity_blocks(variables: Mapping[Path, Any], source: Mapping[Path, Any]) -> dict[Path, np.ndarray]:
    """The arrays, by their paths in `variables`, that make an identity of each block that `source` does not have.

    With a scale and a bias of zero in its last norm a block is `relu(0 + x)`, which is x, since x comes from a ReLU.
    That holds for shortcuts without a projection, and not for plain networks, which have none.
    """
    there = {path[1] for path in source}
    new = {path[1] for path in variables if BLOCK.fullmatch(path[1])} - there
    last = {block: max(path[2] for path in variables if path[1] == block and "conv" in path[2]) for block in new}
    return {
        path: np.zeros(array.shape, array.dtype)
        for path, array in variables.items()
        if path[1] in new and path[2:] in {(last[path[1]], "norm", "scale"), (last[path[1]], "norm", "bias")}
    }
