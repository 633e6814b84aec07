"""AlexNet's change of colour along the principal components of the training pixels."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from convnets.augment.registry import Example, augmentations
from convnets.errors import InvalidValue

Components = tuple[tuple[float, ...], ...]

IMAGENET_EIGENVALUES = (0.2175, 0.0188, 0.0045)
"""Of the covariance of ImageNet's pixels, red, green and blue in [0, 1], as published with fb.resnet.torch."""

IMAGENET_EIGENVECTORS = ((-0.5675, -0.5808, -0.5836), (0.7192, -0.0045, -0.6948), (0.4009, -0.8140, 0.4203))
"""One a row, of length 1."""

IMAGENET: Components = tuple(
    tuple(math.sqrt(variance) * weight for weight in direction)
    for variance, direction in zip(IMAGENET_EIGENVALUES, IMAGENET_EIGENVECTORS, strict=True)
)
"""ImageNet's principal components, each as long as the pixels' standard deviation along it."""


@augmentations.register
def pca_colour(key: Array, example: Example, *, deviation: float = 0.1, components: Components = IMAGENET) -> Example:
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
    if not 0 <= deviation < math.inf:
        raise InvalidValue(f"the deviation of pca_colour must be a finite number of 0 or more, and is {deviation}")
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


def _check_components(components: Components) -> None:
    rows = components if isinstance(components, tuple | list) else ()
    square = bool(rows) and all(isinstance(row, tuple | list) and len(row) == len(rows) for row in rows)
    if not square or not all(isinstance(x, int | float) and math.isfinite(x) for row in rows for x in row):
        raise InvalidValue(
            "the components of pca_colour are as many tuples of finite numbers as an image has channels, "
            f"each with a number for each channel, and were given as {components!r}"
        )
