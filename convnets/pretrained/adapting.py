"""Parameters made to fit another network: filters for other images, and new residual blocks that are the identity."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from convnets.pretrained.patterns import Path

BLOCK = re.compile(r"stage\d+_block\d+")


def adapt_stem(kernel: np.ndarray, size: int, channels: int) -> tuple[np.ndarray, str]:
    """Filters `[h, w, C, filters]` for images of other channels, and of another size.

    For fewer channels the old ones are folded onto them in turn (for one: summed), for more they are repeated in turn,
    each shared out evenly over its places. So an image that is alike in all channels gives the response of one that is
    so in the old ones. Filters of another size (7x7 at stride 2 to 3x3 at stride 1, for small images) are shared out by
    area, so that their sum, the response to an even patch, is kept.

    Args:
      size: height and width of the new filters.
      channels: of the new images.

    Returns:
      `[size, size, channels, filters]` float32, and what was done, in words.
    """
    done = []
    height, width, old, _ = kernel.shape
    shared = np.asarray(kernel, np.float32)
    if channels != old:
        done.append(f"{old} channels summed" if channels == 1 else f"{old} channels shared out to {channels}")
        shared = np.einsum("hwcf,dc->hwdf", shared, _turns(channels, old))
    if (height, width) != (size, size):
        done.append(f"{height}x{width} filters shared out to {size}x{size}")
        shared = np.einsum("ih,jw,hwcf->ijcf", _overlaps(size, height), _overlaps(size, width), shared)
    return shared.astype(np.float32), ", ".join(done)


def new_blocks(variables: Mapping[Path, Any], source: Mapping[Path, Any]) -> set[str]:
    """The names of the residual blocks in `variables` that `source` does not have."""
    names, there = ({path[1] for path in arrays} for arrays in (variables, source))
    return {name for name in names - there if BLOCK.fullmatch(name)}


def identity_blocks(variables: Mapping[Path, Any], blocks: Collection[str]) -> dict[Path, np.ndarray]:
    """The arrays, by their paths in `variables`, that make an identity of each of these residual blocks.

    So a deeper network starts as a shallower one (the lecture's "solution by construction"). With a scale and a bias of
    zero in its last norm a block is `relu(0 + x)`, which is x, since x comes from a ReLU. That holds for shortcuts
    without a projection, and not for plain networks, which have none.
    """
    last = {block: max(path[2] for path in variables if path[1] == block and "conv" in path[2]) for block in blocks}
    return {
        path: np.zeros(array.shape, array.dtype)
        for path, array in variables.items()
        if path[1] in last and path[2:] in {(last[path[1]], "norm", "scale"), (last[path[1]], "norm", "bias")}
    }


def _turns(new: int, old: int) -> np.ndarray:
    """`[new, old]`: the share of each old channel that goes to each new one; each column's sum is 1."""
    turn = min(new, old)
    meet = np.arange(new)[:, None] % turn == np.arange(old) % turn
    return meet / meet.sum(0)


def _overlaps(new: int, old: int) -> np.ndarray:
    """`[new, old]`: how much of each of `old` pixels lies in each of `new` in their place; each column's sum is 1."""
    starts, pixels = np.arange(new)[:, None] * (old / new), np.arange(old)
    return np.clip(np.minimum(starts + old / new, pixels + 1) - np.maximum(starts, pixels), 0, None)
