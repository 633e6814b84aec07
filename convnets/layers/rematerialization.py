"""Less memory for more arithmetic (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016)."""

import math
from collections.abc import Sequence

import flax.linen as nn
from jax import Array


def chain(blocks: Sequence[nn.Module], x: Array, train: bool, rematerialize: bool) -> Array:
    """Passes `x` through the blocks, each called as `block(x, train)`, in their order.

    Rematerialized, the n blocks fall into about sqrt(n) segments. Only what enters a segment is kept for the backward
    pass; what enters a block is computed again segment by segment, and the rest block by block. So the memory grows as
    sqrt(n), and the forward pass is computed up to three times. Parameters' names and results stay the same.
    """
    if not rematerialize:
        return _in_order(x, train, *blocks)
    length = max(1, math.isqrt(len(blocks)))
    for start in range(0, len(blocks), length):
        first, *others = blocks[start : start + length]
        # Flax lifts the variables of the modules among the arguments, and of no others.
        x = nn.remat(lambda first, x, *others: _again_in_order(x, train, first, *others))(first, x, *others)
    return x


def _in_order(x: Array, train: bool, *blocks: nn.Module) -> Array:
    for block in blocks:
        x = block(x, train)
    return x


def _again_in_order(x: Array, train: bool, *blocks: nn.Module) -> Array:
    for block in blocks:
        x = nn.remat(lambda block, x: block(x, train))(block, x)
    return x
