"""What a wrong box costs: L2, smooth L1, or one minus the generalized intersection over union."""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from convnets.evaluation.boxes import generalized_iou
from convnets.tasks.localization.coordinates import Coordinates, decode, encode

BoxLoss = Literal["l2", "smooth_l1", "iou"]
"""The lecture's sum of squares; Girshick's (Fast R-CNN, ICCV 2015, equation 3); Rezatofighi et al.'s (CVPR 2019)."""

BEND = 0.1
"""Where smooth L1 goes over from squares to straight lines: a tenth of the window. (Fast R-CNN's 1 is for numbers of
unit variance; all that is relative to a window would lie below it.)"""


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
