"""Convolution with padding written as numbers."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets import kernels
from convnets.errors import InvalidValue
from convnets.layers.initializers import he_normal
from convnets.layers.window import positions


class Convolution(nn.Module):
    """Square filters, the same padding on all sides; parameters `kernel [size, size, C / groups, features]`, `bias`.

    'SAME' is not offered: at stride 2 it pads one side more than the other, which no paper of the lecture does.

    Attributes:
      features: number of filters.
      size: height and width of each filter, in pixels.
      stride: step between responses, in pixels.
      padding: zeros added on each side, in pixels.
      groups: equal parts of the channels; the filters of a part see that part of the input alone.
      use_bias: whether each filter has a bias; False where a batch norm follows.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    use_bias: bool = True
    kernel_init: Callable[..., Array] = he_normal
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        norm: tuple[Array, Array] | None = None,
        residual: Array | None = None,
        relu: bool = False,
    ) -> Array:
        """`[N, H, W, C] -> [N, (H + 2 padding - size) // stride + 1, ..., features]`.

        Args:
          norm: factor and shift of each filter, `[features]`: what a batch norm of known statistics does.
          residual: what is then added, of the result's shape.
          relu: whether a ReLU follows.

        Raises:
          InvalidValue: a map smaller than the filters, or channels or filters that the groups don't divide.
        """
        channels = x.shape[-1]
        if min(positions(length, self.size, self.stride, self.padding) for length in x.shape[1:3]) < 1:
            raise InvalidValue(
                f"the convolution '{'/'.join(self.path)}' has {self.size} x {self.size} filters and was given a map "
                f"of {x.shape[1]} x {x.shape[2]}: use a larger image"
            )
        if channels % self.groups or self.features % self.groups:
            raise InvalidValue(
                f"the convolution '{'/'.join(self.path)}' can't part {channels} channels and {self.features} filters "
                f"into {self.groups} groups: both must be multiples of it"
            )
        shape = (self.size, self.size, channels // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        factor = None
        if norm is not None:
            factor, shift = norm
            bias = shift if bias is None else bias * factor + shift
        return kernels.convolution(
            jnp.asarray(x, self.dtype),
            kernel,
            bias,
            None if residual is None else jnp.asarray(residual, self.dtype),
            factor=factor,
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
            relu=relu,
        )
