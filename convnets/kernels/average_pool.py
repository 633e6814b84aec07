"""Average pooling."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets.kernels.choice import implementation
from convnets.kernels.geometry import Padding, sides
from convnets.kernels.operands import check_floating
from convnets.kernels.pure_jax.average_pool import mean_of_tiles


def average_pool(x: Array, size: int, stride: int, padding: Padding = 0) -> Array:
    """The mean of each `size` x `size` window, windows `stride` pixels apart; padding counts as zeros.

    Args:
      x: `[N, H, W, C]`, of any floating type; summed in float32 at least.

    Returns:
      `[N, (H + padding - size) // stride + 1, ..., C]`.

    Raises:
      InvalidValue: another type.
    """
    check_floating("average pooling", x=x)
    around = sides(padding)
    tiled = size == stride and around == ((0, 0), (0, 0)) and x.shape[1] % size == x.shape[2] % size == 0
    if tiled and implementation() != "plain" and x.dtype in (jnp.float32, jnp.bfloat16):
        return mean_of_tiles(x, size)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return nn.avg_pool(wide, (size, size), (stride, stride), around).astype(x.dtype)
