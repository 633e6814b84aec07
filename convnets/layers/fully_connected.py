"""The fully connected layer that is also a convolution (lecture: "Replace fully connected layer")."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.layers.initializers import he_normal


class FullyConnected(nn.Module):
    """A layer whose neurons each see a whole `h` x `w` x `C` map.

    The parameters keep the window they cover, `kernel [h, w, C, features]`. On a map of exactly that size the layer
    is a matrix product; on a larger one the same parameters are a convolution, and the result is the map of what
    the layer would say of every window.

    Attributes:
      features: number of neurons.
      window: height and width of the map that one neuron sees, in pixels.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    window: tuple[int, int] = (1, 1)
    use_bias: bool = True
    kernel_init: Callable[..., Array] = he_normal
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, H, W, C] -> [N, H - h + 1, W - w + 1, features]`.

        Raises:
          InvalidValue: a map smaller than the window.
        """
        (height, width), channels = self.window, x.shape[-1]
        if x.shape[1] < height or x.shape[2] < width:
            raise InvalidValue(
                f"the fully connected layer '{'/'.join(self.path)}' sees a {height} x {width} map and was given "
                f"{x.shape[1]} x {x.shape[2]}: use a larger image"
            )
        kernel = self.param("kernel", self.kernel_init, (height, width, channels, self.features), jnp.float32)
        x, kernel = jnp.asarray(x, self.dtype), jnp.asarray(kernel, self.dtype)
        if x.shape[1:3] == (height, width):
            flat = x.reshape(x.shape[0], -1) @ kernel.reshape(-1, self.features)
            y = flat[:, None, None, :]
        else:
            y = lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
            y = y + jnp.asarray(bias, self.dtype)
        return y


def squeeze_map(logits: Array) -> Array:
    """`[N, 1, 1, C] -> [N, C]`; a larger map of logits is left as it is."""
    return logits[:, 0, 0, :] if logits.shape[1:3] == (1, 1) else logits
