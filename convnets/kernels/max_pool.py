"""Max pooling."""

import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue
from convnets.kernels import plain, pure_jax
from convnets.kernels.choice import implementation
from convnets.kernels.geometry import Padding, sides
from convnets.kernels.onednn import max_pool as onednn
from convnets.kernels.operands import check_floating


def max_pool(x: Array, size: int, stride: int, padding: Padding = 0) -> Array:
    """The largest response of each `size` x `size` window, windows `stride` pixels apart; padding never wins.

    Args:
      x: `[N, H, W, C]`, of any floating type. Where several are largest, the gradient goes to the first.

    Returns:
      `[N, (H + padding - size) // stride + 1, ..., C]`.

    Raises:
      InvalidValue: a map of other than four axes, a size or stride below 1, or another type.
    """
    check_floating("max pooling", x=x)
    if x.ndim != 4 or size < 1 or stride < 1:
        raise InvalidValue(
            f"max pooling takes [N, H, W, C] and a size and a stride of at least 1, and was given {x.shape}, "
            f"size {size}, stride {stride}"
        )
    around = sides(padding)
    chosen = implementation()
    # A window must not lie in the padding alone: there nothing is largest.
    inside = all(0 <= pixels < size for side in around for pixels in side)
    if chosen == "plain" or x.dtype not in (jnp.float32, jnp.bfloat16) or not inside or x.size == 0:
        return plain.max_pool(x, size, stride, around)
    if chosen == "onednn" and size <= onednn.LARGEST_WINDOW:
        return onednn.max_pool(x, size, stride, around)
    return pure_jax.max_pool(x, size, stride, around)
