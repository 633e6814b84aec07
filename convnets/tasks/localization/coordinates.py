"""The four numbers that a network says of a box.

They are relative to the window that the network sees, the whole image or a part of it: its upper left corner is (0, 0)
and its lower right one (1, 1), whatever its size in pixels. So a head means the same at every place of a larger image.
"""

from typing import Literal

import jax.numpy as jnp
from jax import Array

Coordinates = Literal["corner", "centre_size"]
"""(y0, x0, y1, x1), or the centre and the logarithms of height and width (Girshick et al., CVPR 2014, appendix C, with
the window as the proposal), by which a box is never inverted."""

SMALLEST, LARGEST = 1e-3, 1e3
"""Sides in windows between which logarithms are taken."""


def encode(boxes: Array, coordinates: Coordinates) -> Array:
    """Boxes `[..., 4]` (y0, x0, y1, x1) in windows to the numbers of a network; sides are at least a thousandth."""
    if coordinates == "corner":
        return boxes
    sides = jnp.clip(boxes[..., 2:] - boxes[..., :2], SMALLEST, LARGEST)
    return jnp.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, jnp.log(sides)], axis=-1)


def decode(numbers: Array, coordinates: Coordinates) -> Array:
    """The inverse of `encode`; of corners in another order the box is inverted."""
    if coordinates == "corner":
        return numbers
    sides = jnp.exp(jnp.clip(numbers[..., 2:], jnp.log(SMALLEST), jnp.log(LARGEST)))
    return jnp.concatenate([numbers[..., :2] - sides / 2, numbers[..., :2] + sides / 2], axis=-1)
