"""The fully connected layer that is also a convolution (lecture: "Replace fully connected layer")."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue
from convnets.layers.convolution import convolution
from convnets.layers.geometry import check_floating
from convnets.layers.implementation import implementation, kernels
from convnets.layers.initializers import he_normal, small_normal


class FullyConnected(nn.Module):
    """A layer whose neurons each see a whole `h` x `w` x `C` map.

    The parameters keep the window they cover, `kernel [h, w, C, features]`. On a map of exactly that size the layer
    is a matrix product; on a larger one the same parameters are a convolution, and the result is the map of what
    the layer would say of every window.

    Attributes:
      features: number of neurons.
      window: height and width of the map that one neuron sees, in pixels.
      everywhere: whether there is a window around every position of the map, with zeros beyond its edges.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    window: tuple[int, int] = (1, 1)
    everywhere: bool = False
    use_bias: bool = True
    kernel_init: Callable[..., Array] = he_normal
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, relu: bool = False) -> Array:
        """`[N, H, W, C] -> [N, H - h + 1, W - w + 1, features]`, or all positions; with `relu` a ReLU follows.

        Raises:
          InvalidValue: a map smaller than the window.
        """
        (height, width), channels = self.window, x.shape[-1]
        if self.everywhere:
            around = ((height // 2, (height - 1) // 2), (width // 2, (width - 1) // 2))
            x = jnp.pad(x, ((0, 0), *around, (0, 0)))
        if x.shape[1] < height or x.shape[2] < width:
            raise InvalidValue(
                f"the fully connected layer '{'/'.join(self.path)}' sees a {height} x {width} map and was given "
                f"{x.shape[1]} x {x.shape[2]}: use a larger image"
            )
        kernel = self.param("kernel", self.kernel_init, (height, width, channels, self.features), jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        x = jnp.asarray(x, self.dtype)
        if x.shape[1:3] != (height, width):
            return convolution(x, kernel, bias, relu=relu)
        matrix = kernel.reshape(-1, self.features)
        return fully_connected(x.reshape(x.shape[0], -1), matrix, bias, relu=relu)[:, None, None, :]


def fully_connected(x: Array, kernel: Array, bias: Array | None = None, *, relu: bool = False) -> Array:
    """`x @ kernel + bias`, then `max(0, .)` if `relu`, in the type of `x`.

    Args:
      x: `[N, K]`, of any floating type.
      kernel: `[K, F]`; in a lower precision it may be rounded to the type of `x`, and its gradient is not.
      bias: `[F]`.

    Raises:
      InvalidValue: shapes that don't fit one another, or arrays that are not of floating point.
    """
    check_floating("a matrix product", x=x, kernel=kernel, bias=bias)
    if x.ndim != 2 or kernel.ndim != 2 or x.shape[1] != kernel.shape[0]:
        raise InvalidValue(f"a matrix product of {x.shape} and {kernel.shape} does not fit")
    if bias is not None and bias.shape != kernel.shape[1:]:
        raise InvalidValue(f"the bias of a matrix product has shape {bias.shape}, and must have {kernel.shape[1:]}")
    known = x.dtype in (jnp.float32, jnp.bfloat16) and kernel.dtype in (jnp.float32, x.dtype)
    if known and 0 not in (*x.shape, *kernel.shape) and implementation() == "onednn":
        return kernels.fully_connected(x, kernel, None if bias is None else bias.astype(jnp.float32), relu)
    y = x @ kernel.astype(x.dtype)
    if bias is not None:
        y = y + bias.astype(x.dtype)
    return jax.nn.relu(y) if relu else y


def classify(
    x: Array, num_classes: int, *, dtype: Any, kernel_init: Callable[..., Array] = small_normal, squeeze: bool = True
) -> Array:
    """The last layer of a network, `logits`, on `[N, H, W, C]`.

    Args:
      squeeze: whether a map of one position gives `[N, num_classes]`.

    Returns:
      Float32 `[N, H, W, num_classes]`, or `[N, num_classes]`.
    """
    logits = FullyConnected(num_classes, kernel_init=kernel_init, dtype=dtype, name="logits")(x)
    return (squeeze_map(logits) if squeeze else logits).astype(jnp.float32)


def squeeze_map(logits: Array) -> Array:
    """`[N, 1, 1, C] -> [N, C]`; a larger map of logits is left as it is."""
    return logits[:, 0, 0, :] if logits.shape[1:3] == (1, 1) else logits
