"""Brightness, contrast, saturation and hue, and offsets along the principal components of the training pixels.

(Lecture: "Types of data augmentation: Color jitter".) The first three are the blends of Pillow's `ImageEnhance`:
`factor * image + (1 - factor) * other`, where the other is black, the mean grey of the image, or the grey image. A
factor of 0 is the other, 1 the image itself. The blends take any floating type, clip to [0, 1] and compute in float32.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from convnets.augment.transforms import Example, check_strength, transforms
from convnets.errors import InvalidValue

Components = tuple[tuple[float, ...], ...]

IMAGENET_EIGENVALUES = (0.2175, 0.0188, 0.0045)
"""Of the covariance of ImageNet's pixels, red, green and blue in [0, 1], as published with fb.resnet.torch."""

IMAGENET_EIGENVECTORS = ((-0.5675, -0.5808, -0.5836), (0.7192, -0.0045, -0.6948), (0.4009, -0.8140, 0.4203))
"""One a row, of length 1."""

IMAGENET_COMPONENTS: Components = tuple(
    tuple(math.sqrt(variance) * weight for weight in direction)
    for variance, direction in zip(IMAGENET_EIGENVALUES, IMAGENET_EIGENVECTORS, strict=True)
)
"""ImageNet's principal components, each as long as the pixels' standard deviation along it."""

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


@transforms.register
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
        check_strength(f"the {name} of colour_jitter", strength)
    check_strength("the hue of colour_jitter, in whole turns,", hue, 0.5)
    draws = jax.random.uniform(key, (4,))
    image = example["image"]
    for change, strength, draw in zip(BLENDS, strengths, draws, strict=False):
        if strength > 0:
            least = max(0.0, 1 - strength)
            image = change(image, least + draw * (1 + strength - least))
    if hue > 0:
        image = turn_hue(image, hue * (2 * draws[3] - 1))
    return example | {"image": image}


@transforms.register
def pca_colour(
    key: Array, example: Example, *, deviation: float = 0.1, components: Components = IMAGENET_COMPONENTS
) -> Example:
    """Adds one random colour to the whole image (Krizhevsky et al. 2012, section 4.1):

        image + sum_i alpha_i * components[i],   alpha_i ~ N(0, deviation^2), drawn once for each image,

    and clips to [0, 1].

    The paper scales each principal component by its "eigenvalue". On its pixels of 0 to 255 the first eigenvalue of the
    covariance is about 14,000, and the offset would exceed the range; so, as in Krizhevsky's code, it is read as the
    standard deviation along the component, the root of that eigenvalue, and the offset is a tenth of the spread of
    colours whatever the scale. fb.resnet.torch, and what follows it, multiplies by the eigenvalues of pixels in [0, 1]
    and not by their roots: 0.47 of this along the first component, 0.14 and 0.07 along the others.

    Args:
      deviation: of the alphas, 0 or more; at 0 nothing is changed.
      components: `[C][C]`, a principal component of the training pixels in [0, 1] a row, as long as their standard
        deviation along it: `components` of `convnets.data.statistics.pixel_statistics`.

    Raises:
      InvalidValue: a deviation out of range, components that are no `[C][C]` of finite numbers, or an image that has
        another number of channels than they.
    """
    check_strength("the deviation of pca_colour", deviation)
    _check_components(components)
    image = example["image"]
    if image.shape[-1] != len(components):
        raise InvalidValue(
            f"pca_colour was given principal components of {len(components)} channels for images of {image.shape[-1]}: "
            "leave `components` out in training, which fills in the data's own, or take them from "
            "`launch.py statistics`"
        )
    if deviation == 0:
        return example
    alphas = deviation * jax.random.normal(key, (len(components), 1))
    # A sum and no matrix product, which would round differently for one image than for a batch.
    offset = jnp.sum(alphas * jnp.array(components), axis=0)
    return example | {"image": jnp.clip(image + offset, 0, 1).astype(image.dtype)}


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


def _check_components(components: Components) -> None:
    rows = components if isinstance(components, tuple | list) else ()
    square = bool(rows) and all(isinstance(row, tuple | list) and len(row) == len(rows) for row in rows)
    if not square or not all(isinstance(x, int | float) and math.isfinite(x) for row in rows for x in row):
        raise InvalidValue(
            "the components of pca_colour are as many tuples of finite numbers as an image has channels, "
            f"each with a number for each channel, and were given as {components!r}"
        )
