"""The sizes of images that a network takes.

A network has a native size, for which its classifier sees the whole last map and gives one vector of logits. On
larger images the classifier is a convolution over the last map, and the logits are a map; smaller ones don't fill it.
"""

from collections.abc import Callable
from itertools import count

from jax import Array

from convnets.errors import InvalidValue

LastMap = Callable[[int], int]
"""From the side of an image to the side of the map that the classifier sees, in pixels; 0 where nothing is left."""

SMALLER = "image_size (or stem='small')"
"""The options by which most networks are made for smaller images."""


def smallest_image(window: int, last_map: LastMap) -> int:
    """The smallest side of an image, in pixels, whose last map is at least `window` wide."""
    return next(side for side in count(1) if last_map(side) >= window)


def classifier_window(network: str, image_size: int, last_map: LastMap) -> int:
    """The side of the map that the classifier sees when images of `image_size` are native.

    Raises:
      InvalidValue: an image size of which nothing is left.
    """
    window = last_map(image_size)
    if window < 1:
        smallest = smallest_image(1, last_map)
        raise InvalidValue(
            f"image_size is {image_size}, and {network} can't be made for images under {smallest} pixels"
        )
    return window


def check_images(network: str, images: Array, window: int, last_map: LastMap, remedy: str = "") -> None:
    """Refuses images `[N, H, W, C]` that are too small.

    Args:
      remedy: the options that make the network for smaller ones, as the error should name them.

    Raises:
      InvalidValue: with the smallest size that would do.
    """
    height, width = images.shape[1:3]
    if last_map(min(height, width)) < window:
        smallest = smallest_image(window, last_map)
        raise InvalidValue(
            f"{network} needs images of at least {smallest} x {smallest} pixels, and was given {height} x {width}"
            + (f": {remedy} makes it for smaller ones" if remedy else "")
        )
