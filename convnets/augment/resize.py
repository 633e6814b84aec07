"""Pictures at another size, and random parts brought to one size.

Scaling is linear and antialiased as in Pillow: where a picture shrinks, each pixel is the weighted mean of all that
it covers. A part may begin and end between two pixels.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from convnets.augment.boxes import clipped
from convnets.augment.crop import check_size
from convnets.augment.transforms import (
    Example,
    between,
    changed,
    check_floating,
    check_interval,
    log_between,
    transforms,
)
from convnets.errors import InvalidValue

ATTEMPTS = 10
"""Draws of a part until one fits into the picture."""


def resize(example: Example, height: int, width: int) -> Example:
    """The whole example at `height` x `width` pixels. Raises what `resized_crop` does."""
    rows, columns, _ = example["image"].shape
    return resized_crop(example, 0, 0, rows, columns, (height, width))


def resized_crop(
    example: Example, top: ArrayLike, left: ArrayLike, height: ArrayLike, width: ArrayLike, size: tuple[int, int]
) -> Example:
    """A part of the example, at another size.

    `image [H, W, C]`, float in [0, 1], is interpolated linearly, `mask [H, W]` takes the nearest pixel, and
    `boxes [K, 4]` are moved, scaled and clipped; one of which nothing is left becomes (0, 0, 0, 0).

    Args:
      top, left, height, width: the part in pixels of the given image, which holds all of it; float scalars that may
        be traced.
      size: (rows, columns) of the result.

    Raises:
      InvalidValue: an image of integers, or a result without pixels.
    """
    check_floating("resizing", example["image"])
    if min(size) < 1:
        raise InvalidValue(f"an image is resized to at least 1 x 1 pixels, and not to {size[0]} x {size[1]}")
    corner = jnp.stack([jnp.asarray(top, jnp.float32), jnp.asarray(left, jnp.float32)])
    scale = jnp.array(size, jnp.float32) / jnp.stack([jnp.asarray(height), jnp.asarray(width)])

    def resized(image: Array) -> Array:
        whole = jax.image.scale_and_translate(
            image.astype(jnp.promote_types(image.dtype, jnp.float32)),
            (*size, image.shape[-1]),
            (0, 1),
            scale,
            -corner * scale,
            method="linear",
            antialias=True,
        )
        return jnp.clip(whole, 0, 1).astype(image.dtype)

    def nearest(mask: Array) -> Array:
        row, column = (
            jnp.floor(corner[axis] + (jnp.arange(size[axis]) + 0.5) / scale[axis])
            .astype(jnp.int32)
            .clip(0, mask.shape[axis] - 1)
            for axis in (0, 1)
        )
        return mask[row[:, None], column[None, :]]

    def moved(boxes: Array) -> Array:
        return clipped(((boxes - jnp.tile(corner, 2)) * jnp.tile(scale, 2)).astype(boxes.dtype), *size)

    return changed(example, image=resized, mask=nearest, boxes=moved)


@transforms.register
def random_resized_crop(
    key: Array,
    example: Example,
    *,
    size: int | Sequence[int] = (0, 0),
    area: Sequence[float] = (0.08, 1.0),
    aspect: Sequence[float] = (3 / 4, 4 / 3),
) -> Example:
    """A part of random area and shape at a random place, brought to one size (Szegedy et al. 2015, section 6).

    Ten parts are drawn, and the first that fits is taken, as torchvision does; where none fits, the last is cut to
    the height or width of the picture.

    Args:
      size: (rows, columns) of the result, or one number for a square; 0 stands for the image's own.
      area: (smallest, largest) share of the image's area, in (0, 1]; uniform.
      aspect: (smallest, largest) ratio of width to height in pixels, positive; log-uniform.

    Raises:
      InvalidValue: an interval or a size that is none, or an image of integers.
    """
    check_interval("the area of a crop", area, most=1.0)
    check_interval("the aspect of a crop", aspect)
    rows, columns = example["image"].shape[:2]
    draws = jax.random.uniform(key, (ATTEMPTS + 1, 2))
    pixels = rows * columns * between(draws[:ATTEMPTS, 0], area)
    ratio = log_between(draws[:ATTEMPTS, 1], aspect)
    heights, widths = jnp.sqrt(pixels / ratio), jnp.sqrt(pixels * ratio)
    fits = (heights <= rows) & (widths <= columns)
    chosen = jnp.where(fits.any(), jnp.argmax(fits), ATTEMPTS - 1)
    height, width = jnp.minimum(heights[chosen], rows), jnp.minimum(widths[chosen], columns)
    return _somewhere(draws[ATTEMPTS], example, height, width, _own_where_zero(size, rows, columns))


@transforms.register
def scale_and_crop(
    key: Array, example: Example, *, size: int | Sequence[int] = (0, 0), scale: Sequence[float] = (8 / 7, 15 / 7)
) -> Example:
    """The image at a random scale, then a part of one size at a random place of it (Simonyan and Zisserman 2015,
    section 3.1; He et al. 2016, section 3.4).

    ResNet's shorter side from [256, 480] and crop of 224 are `size=224` and the default scale, 256/224 to 480/224; so
    other sizes get the same pictures in small. Scaling and cutting are one resampling, between pixels if need be.

    Args:
      size: (rows, columns) of the result, or one number for a square; 0 stands for the image's own.
      scale: (smallest, largest), at least 1; uniform. At 1 the image just covers the part, so that its shorter side is
        `size`; at 2 it is twice as large.

    Raises:
      InvalidValue: an interval or a size that is none, or an image of integers.
    """
    check_interval("the scale of an image before a crop", scale, least=1.0)
    rows, columns = example["image"].shape[:2]
    size = _own_where_zero(size, rows, columns)
    draws = jax.random.uniform(key, (3,))
    covering = max(size[0] / rows, size[1] / columns)
    drawn = between(draws[0], scale)
    return _somewhere(draws[1:], example, size[0] / covering / drawn, size[1] / covering / drawn, size)


def _somewhere(share: Array, example: Example, height: Array, width: Array, size: tuple[int, int]) -> Example:
    """A part of that height and width, `share [2]` of the way from the first place where it fits to the last."""
    rows, columns = example["image"].shape[:2]
    top, left = share * jnp.stack([rows - height, columns - width])
    return resized_crop(example, top, left, height, width, size)


def _own_where_zero(size: int | Sequence[int], rows: int, columns: int) -> tuple[int, int]:
    given_rows, given_columns = check_size(size)
    return given_rows or rows, given_columns or columns
