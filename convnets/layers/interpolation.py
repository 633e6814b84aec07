"""Kernels by which a transposed convolution interpolates, channel by channel: what an up-sampling layer may begin as.

Long, Shelhamer and Darrell ("Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, section 3.3) let
theirs begin as bilinear interpolation and learn from there. Kernels are `[f, f, features, C]`, and channel c goes to
feature c.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue


def bilinear(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Bilinear interpolation by s, the half of f rounded up: weights 1 - |distance| / s from the filter's middle.

    With filters of f = 2s and padding s / 2 (even s), or f = 2s - 1 and padding (s - 1) / 2 (odd s), a map becomes s
    times as large, as an image that is resized. With f = 2s - 1 and padding s - 1 the entries stay where they are and
    s - 1 pixels come between two of them. Around the map are zeros, so that the result fades over the outermost pixels.

    Args:
      key: not used; initializers have one.

    Raises:
      InvalidValue: other than square filters from as many channels as there are features.
    """
    size = _checked("bilinear", shape)
    stride = (size + 1) // 2
    distances = jnp.abs(jnp.arange(size) - (size - 1) / 2)
    weights = (1 - distances / stride).astype(dtype)
    return _channel_by_channel(weights[:, None] * weights, shape)


def nearest(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Nearest-neighbour interpolation: with stride f and no padding each pixel is repeated f x f times.

    Arguments and errors are those of `bilinear`.
    """
    size = _checked("nearest", shape)
    return _channel_by_channel(jnp.ones((size, size), dtype), shape)


def _checked(name: str, shape: tuple[int, ...]) -> int:
    """The side of the filters."""
    height, width, features, channels = shape
    if features != channels:
        raise InvalidValue(
            f"{name} interpolation keeps the channels as they are, and was to take {channels} of them to {features}: "
            "make the features as many as the channels, or begin with other weights"
        )
    if height != width:
        raise InvalidValue(f"{name} interpolation has square filters, and was given {height} x {width}")
    return height


def _channel_by_channel(weights: Array, shape: tuple[int, ...]) -> Array:
    return weights[:, :, None, None] * jnp.eye(shape[2], dtype=weights.dtype)
