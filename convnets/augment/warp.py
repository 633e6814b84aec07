"""A picture bent or moved as a whole, resampled once.

Coordinates are those of boxes: pixel (i, j) has its centre at (i + 0.5, j + 0.5). For each pixel centre of the result
it is asked where in the given picture it comes from; there the image is interpolated linearly between the four nearest
pixel centres, and the mask is read from the pixel that holds the place. Nothing is smoothed beforehand, so that
shrinking by more than about a half shows aliasing: for that there is `resize`.
"""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from jax import Array

from convnets.augment.boxes import corners, is_empty, outlines, surrounding
from convnets.augment.transforms import Example, changed, check_choice, check_floating
from convnets.data.label_map import IGNORED

Border = Literal["zero", "edge", "reflect"]
"""What lies around the picture: black that is ignored in masks, its outermost pixels, or its mirror images."""

Points = Callable[[Array, Array], tuple[Array, Array]]
"""From points to points: y and x, arrays that broadcast, to y and x."""

FAR = 1e6
"""Coordinates beyond it are as good as this one, and would overflow as indices."""


def warp(
    example: Example, source_of: Points, target_of: Points, *, border: Border = "zero", points: int = 16
) -> Example:
    """The example with each of its points at another place.

    Args:
      example: `image [H, W, C]`, float in [0, 1]; `mask [H, W]` and `boxes [K, 4]` if it has them. The size stays. A
        box becomes the tight one around what is seen of it; what a border repeats of it doesn't count.
      source_of: from points of the result to where they come from; finite.
      target_of: from points of the example to where they go, the inverse; asked for the outlines of boxes alone.
      points: on each side of a box that are followed; 1 is enough if straight lines stay straight.

    Raises:
      InvalidValue: an unknown border, or an image of integers.
    """
    check_choice("the border of a warp", border, Border)
    check_floating("a warp", example["image"])
    height, width, _ = example["image"].shape
    y, x = source_of(jnp.arange(height)[:, None] + 0.5, jnp.arange(width)[None, :] + 0.5)
    y, x = (jnp.clip(jnp.broadcast_to(place, (height, width)), -FAR, FAR) for place in (y, x))

    def moved(boxes: Array) -> Array:
        y0, x0, y1, x1 = jnp.moveaxis(boxes[:, None], -1, 0)
        corner_y, corner_x = source_of(*corners(height, width))
        holds_corner = (y0 <= corner_y) & (corner_y <= y1) & (x0 <= corner_x) & (corner_x <= x1)
        around = surrounding(*target_of(*outlines(boxes, points)), holds_corner, height, width)
        return jnp.where(is_empty(boxes)[:, None], 0, around).astype(boxes.dtype)

    return changed(
        example,
        image=lambda image: _interpolated(image, y, x, border),
        mask=lambda mask: _nearest(mask, y, x, border),
        boxes=moved,
    )


def _interpolated(image: Array, y: Array, x: Array, border: Border) -> Array:
    """`image [H, W, C]` between its pixel centres, at the places y and x `[H, W]`."""
    height, width, channels = image.shape
    # Pixel centres lie at integers from here on.
    y, x = y.reshape(-1) - 0.5, x.reshape(-1) - 0.5
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = y - top, x - left
    row, column = top.astype(jnp.int32), left.astype(jnp.int32)
    # Whole pixels of all channels are fetched, by one index: on a CPU three times as fast as a window of 2 x 2.
    pixels = image.reshape(height * width, channels).astype(jnp.promote_types(image.dtype, jnp.float32))
    mixed = jnp.zeros_like(pixels)
    for below, row_weight in ((0, 1 - down), (1, down)):
        for beside, column_weight in ((0, 1 - right), (1, right)):
            index, inside = _pixel(row + below, column + beside, height, width, border)
            weight = jnp.where(inside, row_weight * column_weight, 0)
            mixed += weight[:, None] * pixels.at[index].get(mode="promise_in_bounds")
    return jnp.clip(mixed, 0, 1).reshape(image.shape).astype(image.dtype)


def _nearest(mask: Array, y: Array, x: Array, border: Border) -> Array:
    """`mask [H, W]` at the places y and x `[H, W]`."""
    row, column = jnp.floor(y).astype(jnp.int32), jnp.floor(x).astype(jnp.int32)
    height, width = mask.shape
    index, inside = _pixel(row, column, height, width, border)
    return jnp.where(inside, mask.reshape(-1).at[index].get(mode="promise_in_bounds"), IGNORED).astype(mask.dtype)


def _pixel(row: Array, column: Array, height: int, width: int, border: Border) -> tuple[Array, Array]:
    """The index in `[H * W]` of the pixel that is seen at (row, column), and whether one is."""
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    if border == "reflect":
        # The picture and its mirror image repeat: 0 1 2 | 2 1 0 | 0 1 2.
        row, column = row % (2 * height), column % (2 * width)
        row, column = jnp.minimum(row, 2 * height - 1 - row), jnp.minimum(column, 2 * width - 1 - column)
    else:
        row, column = jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)
    return row * width + column, inside | (border != "zero")
