"""Convolution with padding written as numbers."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from convnets.layers.initializers import he_normal


class Convolution(nn.Module):
    """Square filters, the same padding on all four sides; parameters `kernel [size, size, C, features]`, `bias`.

    'SAME' is not offered: at stride 2 it pads one side more than the other, which no paper of the lecture does.

    Attributes:
      features: number of filters.
      size: height and width of each filter, in pixels.
      stride: step between responses, in pixels.
      padding: zeros added on each side, in pixels.
      use_bias: whether each filter has a bias; False where a batch norm follows.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    kernel_init: Callable[..., Array] = he_normal
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, H, W, C] -> [N, (H + 2 padding - size) // stride + 1, ..., features]`."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        y = lax.conv_general_dilated(
            jnp.asarray(x, self.dtype),
            jnp.asarray(kernel, self.dtype),
            window_strides=(self.stride, self.stride),
            padding=[(self.padding, self.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
            y = y + jnp.asarray(bias, self.dtype)
        return y
