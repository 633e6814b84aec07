"""Random erasing: a rectangle of the image is painted over, so that no single part of an object is relied on."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.augment.colour import mean_colour
from convnets.augment.transforms import Example, check_choice, check_interval, check_strength, transforms

Fill = Literal["mean", "noise", "zero"]


@transforms.register
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
    check_strength("the probability of random_erasing", probability, 1)
    check_interval("the area of random_erasing", area, least=0, most=1)
    check_interval("the aspect of random_erasing", aspect)
    check_choice("the fill of random_erasing", fill, Fill)
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
