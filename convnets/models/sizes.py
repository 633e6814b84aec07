"""The sizes of images that a network takes, and how wide its layers are.

A network has a native image size, for which its classifier sees the whole last map and gives one vector of logits. On
larger images the classifier is a convolution over the last map, and the logits are a map; smaller ones are refused.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, Literal

from jax import Array

from convnets.errors import InvalidValue

LastMap = Callable[[int], int]
"""From the side of an image to the side of the map that the classifier sees, in pixels; 0 where nothing is left."""

Output = Literal["logits", "map", "features"]
"""What ends a network: a classifier of the whole image, one at every position of the last map that sees zeros around
it, or none, so that the last feature map is given in place of logits."""


def native_size(image_size: int, stem: str, imagenet: int = 224) -> int:
    """The native side of images: as given, or if that is 0 the stem's: `imagenet`, or 32 for the small one."""
    return image_size or (imagenet if stem == "imagenet" else 32)


def widened(filters: int, width: float, groups: int = 1) -> int:
    """`width` times as many filters, rounded to the nearest multiple of `groups`, and at least that many."""
    return max(1, round(filters * width / groups)) * groups


def smallest_image(window: int, last_map: LastMap) -> int:
    """The smallest side of an image, in pixels, whose last map is at least `window` wide."""
    return next(side for side in count(1) if last_map(side) >= window)


def checked_window(name: str, network: Any, images: Array) -> int:
    """The side of the map that a network's classifier sees at its native image size.

    Args:
      network: has `image_size`, `last_map`, `stem` and `output`.
      images: that it is given.

    Raises:
      InvalidValue: an image size of which nothing is left, or images that are too small.
    """
    window: int = network.last_map(network.image_size)
    if window < 1:
        smallest = smallest_image(1, network.last_map)
        raise InvalidValue(
            f"image_size is {network.image_size}, and {name} can't be made for images under {smallest} pixels"
        )
    check_images(name, images, window if network.output == "logits" else 1, network.last_map, network.stem)
    return window


def check_images(name: str, images: Array, window: int, last_map: LastMap, stem: str = "") -> None:
    """Refuses images that are not `[N, H, W, C]`, or whose last map is smaller than the window.

    Args:
      stem: "imagenet" or "small", of networks that can be made for smaller images.

    Raises:
      InvalidValue: with the smallest size that would do.
    """
    if images.ndim != 4:
        raise InvalidValue(f"{name} takes a batch of images [N, H, W, C], and was given {list(images.shape)}")
    height, width = images.shape[1:3]
    if last_map(min(height, width)) < window:
        smallest = smallest_image(window, last_map)
        remedies = {"imagenet": "image_size (or stem='small')", "small": "image_size"}
        raise InvalidValue(
            f"{name} needs images of at least {smallest} x {smallest} pixels, and was given {height} x {width}"
            + (f": {remedies[stem]} makes it for smaller ones" if stem else "")
        )
