"""The four numbers that a network gives for a box, and the loss of a wrong box: L2, smooth L1, or 1 - GIoU.

The numbers are relative to the window that the network sees, the whole image or a part of it: its upper left corner is
(0, 0) and its lower right one (1, 1), whatever its size in pixels. So a head means the same at every place of a larger
image.
"""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from convnets.evaluation.boxes import generalized_iou

Coordinates = Literal["corner", "centre_size"]
"""(y0, x0, y1, x1), or the centre and the logarithms of height and width (Girshick et al., CVPR 2014, appendix C, with
the window as the proposal), by which a box is never inverted."""

SMALLEST, LARGEST = 1e-3, 1e3
"""Sides in windows between which logarithms are taken."""

BoxLoss = Literal["l2", "smooth_l1", "iou"]
"""The lecture's sum of squares; Girshick's (Fast R-CNN, ICCV 2015, equation 3); Rezatofighi et al.'s (CVPR 2019)."""

BEND = 0.1
"""Where smooth L1 goes over from squares to straight lines: a tenth of the window. (Fast R-CNN's 1 is for numbers of
unit variance; all that is relative to a window would lie below it.)"""


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


def box_loss(numbers: Array, boxes: Array, loss: BoxLoss, coordinates: Coordinates) -> Array:
    """The loss of each box, float32 `[...]`; neither it nor its gradient is NaN of finite numbers.

    Args:
      numbers: what a network says, `[..., 4]`.
      boxes: the truth, `[..., 4]` (y0, x0, y1, x1) in windows.
    """
    if loss == "iou":
        found = decode(numbers, coordinates)
        # An inverted box within the true one overlaps nothing and widens nothing: what it lacks leads it out.
        lacking = jnp.maximum(found[..., :2] - found[..., 2:], 0).sum(-1)
        return 1 - generalized_iou(found, boxes) + lacking
    distance = numbers - encode(boxes, coordinates)
    if loss == "l2":
        return jnp.sum(distance**2, axis=-1)
    size = jnp.abs(distance)
    return jnp.sum(jnp.where(size < BEND, size**2 / (2 * BEND), size - BEND / 2), axis=-1)
