"""How well a box is placed: intersection over union, its generalization, and the share of points that are found.

A box is (y0, x0, y1, x1), from its upper left corner to its lower right one, in pixels or any other unit. One whose
corners are in another order (inverted) or that has no area (empty) holds nothing: its intersection over union is 0 with
every box, itself included. Of finite boxes neither a value nor a gradient is ever NaN. All functions work on the last
axis and broadcast over the others.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

SMALLEST = 1e-12
"""The area below which a box counts as one of that area, so that no gradient overflows."""


def area(boxes: Array) -> Array:
    """The area of `boxes [..., 4]`; 0 of empty and inverted ones."""
    y0, x0, y1, x1 = jnp.moveaxis(boxes, -1, 0)
    return jnp.maximum(y1 - y0, 0) * jnp.maximum(x1 - x0, 0)


class Overlap(NamedTuple):
    """Areas `[...]` of two boxes: of what they share, of what either covers, and of the smallest box around both."""

    intersection: Array
    union: Array
    around: Array


def overlap(one: Array, other: Array) -> Overlap:
    """Of boxes `[..., 4]`. The box around both holds the corners of empty and inverted boxes too."""
    upper, lower = jnp.maximum(one[..., :2], other[..., :2]), jnp.minimum(one[..., 2:], other[..., 2:])
    shared = area(jnp.concatenate([upper, lower], axis=-1))
    # Two inverted boxes may seem to overlap where neither holds anything.
    shared = jnp.where((area(one) > 0) & (area(other) > 0), shared, 0)
    (low, high), (other_low, other_high) = _extremes(one), _extremes(other)
    around = jnp.prod(jnp.maximum(high, other_high) - jnp.minimum(low, other_low), axis=-1)
    return Overlap(shared, area(one) + area(other) - shared, around)


def _extremes(boxes: Array) -> tuple[Array, Array]:
    """The smallest and the largest y and x of boxes `[..., 4]`, `[..., 2]` each."""
    return jnp.minimum(boxes[..., :2], boxes[..., 2:]), jnp.maximum(boxes[..., :2], boxes[..., 2:])


def iou(one: Array, other: Array) -> Array:
    """Intersection over union of boxes `[..., 4]`, in [0, 1]."""
    found = overlap(one, other)
    return found.intersection / jnp.maximum(found.union, SMALLEST)


def generalized_iou(one: Array, other: Array) -> Array:
    """GIoU of boxes `[..., 4]`, in [-1, 1] (Rezatofighi et al., CVPR 2019, algorithm 1).

    The intersection over union, less the share that neither covers of the smallest box around both: so boxes that lie
    apart are told how far.
    """
    found = overlap(one, other)
    uncovered = (found.around - found.union) / jnp.maximum(found.around, SMALLEST)
    return found.intersection / jnp.maximum(found.union, SMALLEST) - jnp.maximum(uncovered, 0)


def centres(boxes: Array) -> Array:
    """The middles (y, x) of boxes `[..., 4]`, `[..., 2]`."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def correct_points(predicted: Array, true: Array, sizes: Array, share: float = 0.2) -> Array:
    """Whether points `[..., 2]` lie within a share of a size `[...]` of the true ones, float32 `[...]` of 0 and 1.

    Their mean is PCK, the percentage of correct keypoints (Yang and Ramanan, PAMI 2013, section 7.1): there the size is
    the larger side of the box around a person, and the share 0.1 or 0.2. Without a size no point is right.
    """
    distance = jnp.linalg.norm(predicted - true, axis=-1)
    return ((distance <= share * sizes) & (sizes > 0)).astype(jnp.float32)
