"""Convolution, batch norm, ReLU: the sentence that deep networks are written in."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets.layers.batch_norm import BatchNorm
from convnets.layers.convolution import Convolution
from convnets.layers.implementation import implementation
from convnets.layers.initializers import ones


class ConvolutionNormReLU(nn.Module):
    """A convolution, its batch norm and a ReLU; parameters under `convolution` and `norm`.

    Attributes:
      features, size, stride, padding: of the convolution.
      norm: makes the batch norm (called with `dtype`, `scale_init` and `name`), or None for no norm.
      use_bias: of the convolution; by default only where no norm follows, which would cancel it.
      relu: whether the ReLU follows; False before an addition.
      scale_init: of the norm's scale.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    norm: Any = None
    use_bias: bool | None = None
    relu: bool = True
    scale_init: Callable[..., Array] = ones
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool, residual: Array | None = None) -> Array:
        """`[N, H, W, C] -> [N, (H + 2 padding - size) // stride + 1, ..., features]`.

        Args:
          train: whether the norm goes by the mini-batch.
          residual: of the result's shape; added before the ReLU.
        """
        use_bias = self.norm is None if self.use_bias is None else self.use_bias
        convolution = Convolution(
            self.features,
            self.size,
            self.stride,
            self.padding,
            use_bias=use_bias,
            dtype=self.dtype,
            name="convolution",
        )
        if self.norm is None:
            return convolution(x, residual=residual, relu=self.relu)
        norm = self.norm(dtype=self.dtype, scale_init=self.scale_init, name="norm")
        if not train and isinstance(norm, BatchNorm) and norm.per == "filter" and implementation() == "onednn":
            return convolution(x, norm=norm.factor_and_shift(self.features), residual=residual, relu=self.relu)
        return norm(convolution(x), train, residual=residual, relu=self.relu)
