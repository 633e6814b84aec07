"""The assertion that our network agrees with PyTorch's."""

from typing import Any

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict
from torch_arrays import relative_difference
from torch_numbers import draw
from torch_sides import Computed, as_ours, by_jax, by_torch

CLOSE = 1e-4
"""How far two arrays may lie apart, relative to the largest entry."""


def assert_agreement(
    ours: nn.Module,
    theirs: Any,
    shape: tuple[int, ...],
    *,
    train: bool,
    gradients: bool = True,
    deviation: float = 1.0,
    seed: int = 1,
) -> None:
    """Holds our network in float32 against PyTorch's in float64, both with the same random numbers.

    Compared are all outputs, the running statistics afterwards, and the gradients by all parameters and by the images.

    Args:
      shape: `[N, H, W, C]` of the images.
      gradients: False leaves them out.
      deviation: of the images.
      seed: of the numbers; a later one is taken where they don't suit.
    """
    theirs.train(train)
    images = draw(theirs, shape, deviation, seed, smooth=gradients)
    shapes = flatten_dict(jax.eval_shape(lambda: ours.init(jax.random.key(0), images, train=train)))
    start = as_ours(shapes, {name: x for name, x in theirs.state_dict().items() if x.is_floating_point()})
    given = by_jax(ours, start, images, train, gradients)
    found = differences(given, by_torch(theirs, shapes, images, gradients), train)
    far = {name: difference for name, difference in found.items() if not difference <= CLOSE}
    assert not far, f"{len(far)} of {len(found)} differ: " + ", ".join(f"{name} by {far[name]:.1e}" for name in far)


def differences(given: Computed, expected: Computed, train: bool) -> dict[str, float]:
    """By what each array differs, relative to its largest entry.

    A bias that a batch norm cancels in training has no gradient; what rounding leaves is relative to the norm's bias.
    """
    assert all(set(one) == set(other) for one, other in zip(given[:3], expected[:3], strict=True))
    found = {name: relative_difference(x, expected.outputs[name]) for name, x in given.outputs.items()}
    for path, x in given.statistics.items():
        found["/".join(path)] = relative_difference(x, expected.statistics[path])
    for path, x in given.gradients.items():
        norm = (*path[:-2], "norm", "bias")
        cancelled = train and path[-2:] == ("convolution", "bias") and norm in given.gradients
        scale = expected.gradients[norm if cancelled else path]
        found["gradient by " + "/".join(path)] = relative_difference(x, expected.gradients[path], scale)
    if given.gradients:
        found["gradient by the images"] = relative_difference(given.image_gradient, expected.image_gradient)
    return found
