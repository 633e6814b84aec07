"""Initial weights.

He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2: a layer that ReLU follows keeps the variance of
its responses when its weights have variance 2 / fan_in (the lecture calls it "Xavier/2"). Before a tanh, which is
the identity near zero, 1 / fan_in does (LeCun et al., "Efficient BackProp", 1998, section 4.6).

Transposed convolutions may begin as interpolation, channel by channel, and learn from there (Long, Shelhamer and
Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, section 3.3): `bilinear` and `nearest`
make kernels `[f, f, features, C]` that take channel c to feature c.
"""

from typing import Any

import jax.numpy as jnp
from flax.linen import initializers
from jax import Array

from convnets.errors import InvalidValue

he_normal = initializers.variance_scaling(2.0, "fan_in", "normal")
"""Normal with variance 2 / fan_in, for layers that a ReLU follows."""

lecun_normal = initializers.variance_scaling(1.0, "fan_in", "normal")
"""Normal with variance 1 / fan_in, for layers that a tanh, or nothing, follows."""


def transposed_he_normal(stride: int) -> initializers.Initializer:
    """Normal with variance 2 stride² / (f² C), for transposed convolutions: kernels `[f, f, features, C]`.

    A response of theirs is a sum over f² C / stride² taps; where the stride doesn't divide f, so it is on average.
    """
    return initializers.variance_scaling(2.0 * stride**2, "fan_in", "normal", in_axis=-1, out_axis=-2)


small_normal = initializers.normal(0.01)
"""Normal with std 0.01 (AlexNet, section 5), for the last layer: training begins with nearly equal classes."""

ones = initializers.ones_init()
"""For the scale of a batch norm: its responses begin with unit variance."""

zeros = initializers.zeros_init()
"""For a bias; and for the scale of the last batch norm of a residual block, which then begins as the identity."""


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
