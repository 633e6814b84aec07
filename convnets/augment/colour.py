"""Brightness, contrast, saturation and hue (lecture: "Types of data augmentation: Color jitter").

The first three are the blends of Pillow's `ImageEnhance`: `factor * image + (1 - factor) * other`, where the other is
black, the mean grey of the image, or the grey image. A factor of 0 is the other, 1 the image itself. The blends take
any floating type, clip to [0, 1] and compute in float32.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from convnets.augment.registry import Example, augmentations
from convnets.errors import InvalidValue

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey (ITU-R BT.601), as in Pillow's conversion to "L"."""


def brighten(image: Array, factor: Array | float) -> Array:
    """The image `[H, W, C]` in [0, 1], `factor` (0 or more) times as bright, clipped."""
    return _in_range(image * jnp.float32(factor), image)


def contrast(image: Array, factor: Array | float) -> Array:
    """The image `[H, W, C]` in [0, 1] with `factor` times the distance from its mean grey, clipped.

    Images of other than three channels have the mean of all their values for a mean grey.
    """
    factor = jnp.float32(factor)
    return _in_range(image * factor + _mean_grey(image) * (1 - factor), image)


def saturate(image: Array, factor: Array | float) -> Array:
    """The image `[H, W, 3]` in [0, 1] with `factor` times the distance of every pixel from its grey, clipped.

    Images of other than three channels have no saturation and stay as they are.
    """
    if image.shape[-1] != 3:
        return image
    factor = jnp.float32(factor)
    return _in_range(image * factor + _grey(image)[..., None] * (1 - factor), image)


def turn_hue(image: Array, turn: Array | float) -> Array:
    """The image `[H, W, 3]` in [0, 1] with every hue moved by `turn` on the circle of HSV; 1 is a whole turn.

    Value and saturation stay. Images of other than three channels have no hue and stay as they are.
    """
    if image.shape[-1] != 3:
        return image
    red, green, blue = (image[..., channel].astype(jnp.float32) for channel in range(3))
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    # Grey has no hue, and no chroma to show it.
    scale = 1 / jnp.maximum(chroma, 1e-6)
    from_green, from_blue = 2 + (blue - red) * scale, 4 + (red - green) * scale
    # By order and not by `value == red`, which need not hold once the compiler has computed red twice.
    is_red = (red >= green) & (red >= blue)
    hue = jnp.where(is_red, (green - blue) * scale, jnp.where(green >= blue, from_green, from_blue))
    hue += 6 * jnp.float32(turn)

    def turned(place: int) -> Array:
        """The channel whose own hue is at `place`: full up to a sixth of a turn from it, gone beyond a third."""
        distance = hue - place
        # To the nearest whole turn; a remainder (`%`) would take ten times as long.
        distance = jnp.abs(distance - 6 * jnp.round(distance / 6))
        return value - chroma * jnp.clip(distance - 1, 0, 1)

    # Hues are in sixths of a turn from red.
    return _in_range(jnp.stack([turned(place) for place in (0, 2, 4)], axis=-1), image)


BLENDS = (brighten, contrast, saturate)


def mean_colour(image: Array) -> Array:
    """The mean `[C]` float32 of an image `[H, W, C]` in [0, 1], to the last bit the same in any batch.

    A sum of floats depends on how the compiler orders it, which differs for one image and for many; one of integers
    does not. They are as fine as 31 bits for the sum allow: 2^-21 for images of 32 x 32, 2^-15 for 224 x 224.
    """
    pixels = image.shape[0] * image.shape[1]
    scale = 2.0 ** (31 - pixels.bit_length())
    steps = jnp.round(image.astype(jnp.float32) * scale).astype(jnp.int32)
    return jnp.sum(steps, axis=(0, 1)) / (pixels * scale)


@augmentations.register
def colour_jitter(
    key: Array,
    example: Example,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.0,
) -> Example:
    """Changes brightness, contrast, saturation and hue at random, in this order.

    Each factor is uniform in [1 - strength, 1 + strength], but not below 0; the turn of the hue is uniform in
    [-hue, hue]. The changes do not commute. Their order is fixed, because a random one would have every image of a
    vectorized batch computed in all orders. Options and definitions are those of torchvision's `ColorJitter`, where
    the order is random.

    Args:
      brightness, contrast, saturation: strengths, 0 or more; at 0 nothing is changed.
      hue: the largest turn, in [0, 0.5]; 0.5 reaches the opposite hue.

    Raises:
      InvalidValue: a strength out of its range.
    """
    strengths = (brightness, contrast, saturation)
    for name, strength in zip(("brightness", "contrast", "saturation"), strengths, strict=True):
        if not 0 <= strength < math.inf:
            raise InvalidValue(f"the {name} of colour_jitter must be a finite number of 0 or more, and is {strength}")
    if not 0 <= hue <= 0.5:
        raise InvalidValue(f"the hue of colour_jitter must lie in [0, 0.5], parts of a whole turn, and is {hue}")
    draws = jax.random.uniform(key, (4,))
    image = example["image"]
    for change, strength, draw in zip(BLENDS, strengths, draws, strict=False):
        if strength > 0:
            least = max(0.0, 1 - strength)
            image = change(image, least + draw * (1 + strength - least))
    if hue > 0:
        image = turn_hue(image, hue * (2 * draws[3] - 1))
    return example | {"image": image}


def _grey(image: Array) -> Array:
    """`[H, W]` of `[H, W, 3]`."""
    red, green, blue = (image[..., channel].astype(jnp.float32) for channel in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _mean_grey(image: Array) -> Array:
    """`[1]`."""
    grey = _grey(image) if image.shape[-1] == 3 else image.reshape(1, -1)
    return mean_colour(grey[..., None])


def _in_range(values: Array, like: Array) -> Array:
    return jnp.clip(values, 0, 1).astype(like.dtype)
