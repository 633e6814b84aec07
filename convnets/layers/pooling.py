"""Spatial pooling with padding written as numbers."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets import kernels
from convnets.errors import InvalidValue

Padding = int | tuple[int, int]
"""Pixels on each side, or (above and left, below and right)."""


def max_pool(x: Array, size: int, stride: int, padding: Padding = 0) -> Array:
    """The largest response of each `size` x `size` region, regions `stride` pixels apart.

    Args:
      x: `[N, H, W, C]`.
      padding: pixels added on the sides; they never win.

    Returns:
      `[N, (H + padding - size) // stride + 1, ..., C]`, with the padding of both sides.

    Raises:
      InvalidValue: a map smaller than a region.
    """
    _check_size(x, size, padding)
    return kernels.max_pool(x, size, stride, padding)


def average_pool(x: Array, size: int, stride: int, padding: Padding = 0) -> Array:
    """The mean response of each `size` x `size` region, regions `stride` pixels apart; summed in float32.

    Args:
      x: `[N, H, W, C]`.
      padding: zeros added on the sides; they count in the mean.

    Returns:
      `[N, (H + padding - size) // stride + 1, ..., C]`, with the padding of both sides.

    Raises:
      InvalidValue: a map smaller than a region.
    """
    _check_size(x, size, padding)
    return kernels.average_pool(x, size, stride, padding)


def adaptive_average_pool(x: Array, size: int) -> Array:
    """The means of `size` x `size` regions that cover the map and overlap where it does not divide evenly.

    Region i reaches from row `floor(i H / size)` to row `ceil((i + 1) H / size)`, as PyTorch's layer of that name.

    Args:
      x: `[N, H, W, C]`.

    Returns:
      `[N, size, size, C]`.
    """
    responses = _at_least_float32(x)
    rows, columns = (jnp.asarray(_region_means(length, size), responses.dtype) for length in x.shape[1:3])
    return jnp.einsum("ih,nhwc,jw->nijc", rows, responses, columns).astype(x.dtype)


def _at_least_float32(x: Array) -> Array:
    """For sums: those of a whole map lose digits in bfloat16 and overflow in float16."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _region_means(length: int, size: int) -> np.ndarray:
    """`[size, length]`: each row takes the mean of one region."""
    means = np.zeros((size, length))
    for i in range(size):
        start, stop = i * length // size, -(-(i + 1) * length // size)
        means[i, start:stop] = 1 / (stop - start)
    return means


def _check_size(x: Array, size: int, padding: Padding) -> None:
    before, after = (padding, padding) if isinstance(padding, int) else padding
    if min(x.shape[1:3]) + before + after < size:
        raise InvalidValue(
            f"a pool of {size} x {size} regions was given a map of {x.shape[1]} x {x.shape[2]}: use a larger image"
        )
