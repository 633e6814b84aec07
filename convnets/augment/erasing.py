"""Random erasing: a rectangle of the image is painted over, so that no single part of an object is relied on."""

import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.augment.colour import mean_colour
from convnets.augment.registry import Example, augmentations
from convnets.errors import InvalidValue

Fill = Literal["mean", "noise", "zero"]


@augmentations.register
def random_erasing(
    key: Array,
    example: Example,
    *,
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.33),
    aspect: tuple[float, float] = (0.3, 3.3),
    fill: Fill = "mean",
) -> Example:
    """Paints over a random rectangle of the image (Zhong et al., AAAI 2020, algorithm 1; defaults of section 5).

    Its share of the area and its height over width are uniform in the given ranges, its place uniform among those
    where it lies inside the image. Of a rectangle taller or wider than the image the rest is cut off, where
    the paper draws another. Label, mask and boxes stay.

    Args:
      probability: of erasing at all.
      area: (least, largest) share of the image's area, in [0, 1].
      aspect: (least, largest) height over width, in pixels, above 0.
      fill: with the image's own mean colour, with each value uniform among the 256 of
        a byte, or with zeros.

    Raises:
      InvalidValue: an option out of its range.
    """
    _check(probability, area, aspect, fill)
    image = example["image"]
    height, width, _ = image.shape
    size_key, place_key, noise_key = jax.random.split(key, 3)
    toss, share, ratio = jax.random.uniform(size_key, (3,))
    pixels = height * width * (area[0] + share * (area[1] - area[0]))
    ratio = aspect[0] + ratio * (aspect[1] - aspect[0])
    row, column = jax.random.uniform(place_key, (2,))
    rows = _interval(row, height, jnp.sqrt(pixels * ratio))
    columns = _interval(column, width, jnp.sqrt(pixels / ratio))
    erased = (toss < probability) & rows[:, None, None] & columns[None, :, None]
    paint: Array | float = 0.0
    if fill == "mean":
        paint = mean_colour(image)
    elif fill == "noise":
        paint = _noise(noise_key, image.shape)
    return example | {"image": jnp.where(erased, jnp.asarray(paint, image.dtype), image)}


def _interval(draw: Array, size: int, length: Array) -> Array:
    """Which of `size` pixels lie in an interval of `length`, rounded: `[size]` bool; `draw` in [0, 1) places it."""
    whole = jnp.clip(jnp.round(length), 0, size)
    start = jnp.floor(draw * (size - whole + 1))
    pixel = jnp.arange(size)
    return (start <= pixel) & (pixel < start + whole)


def _noise(key: Array, shape: tuple[int, ...]) -> Array:
    """Bytes, of which a word of random bits has four: a draw a value would take several times as long."""
    size = math.prod(shape)
    words = jax.random.bits(key, (-(-size // 4),))
    return lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:size].reshape(shape) / jnp.float32(255)


def _check(probability: float, area: tuple[float, float], aspect: tuple[float, float], fill: Fill) -> None:
    if not 0 <= probability <= 1:
        raise InvalidValue(f"the probability of random_erasing must lie in [0, 1], and is {probability}")
    if not (_is_range(area) and area[0] >= 0 and area[1] <= 1):
        raise InvalidValue(f"the area of random_erasing is (least, largest) in [0, 1], and was given as {area!r}")
    if not (_is_range(aspect) and aspect[0] > 0 and aspect[1] < math.inf):
        raise InvalidValue(f"the aspect of random_erasing is (least, largest) above 0, and was given as {aspect!r}")
    if fill not in get_args(Fill):
        allowed = " or ".join(repr(one) for one in get_args(Fill))
        raise InvalidValue(f"the fill of random_erasing is {allowed}, and was given as {fill!r}")


def _is_range(pair: tuple[float, float]) -> bool:
    """Whether it is two numbers in order."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        return False
    return all(isinstance(end, int | float) for end in pair) and pair[0] <= pair[1]
