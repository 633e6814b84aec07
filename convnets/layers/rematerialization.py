"""Less memory for more arithmetic (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016)."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
from jax import Array

Step = Callable[[nn.Module, Array], Array]


def chain(module: nn.Module, steps: Sequence[Step], x: Array, rematerialize: bool) -> Array:
    """Passes `x` through the steps in their order.

    Rematerialized, the n steps fall into about sqrt(n) segments. Only what enters a segment is kept for the backward
    pass; what enters a step is computed again segment by segment, and the rest step by step. So the memory grows as
    sqrt(n), and the forward pass is computed up to three times.

    Args:
      module: the module that the steps' submodules belong to.
      steps: functions of `(module, x)`.
      rematerialize: whether to; the parameters' names and the results are the same.
    """
    if not rematerialize or not steps:
        return _in_order(module, steps, x)
    length = math.ceil(math.sqrt(len(steps)))
    for start in range(0, len(steps), length):
        segment = [nn.remat(step) for step in steps[start : start + length]]
        x = nn.remat(lambda module, x, segment=segment: _in_order(module, segment, x))(module, x)
    return x


def _in_order(module: nn.Module, steps: Sequence[Step], x: Array) -> Array:
    for step in steps:
        x = step(module, x)
    return x
