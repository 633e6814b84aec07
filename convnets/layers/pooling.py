"""Spatial pooling with padding written as numbers."""

import flax.linen as nn
from jax import Array


def max_pool(x: Array, size: int, stride: int, padding: int = 0) -> Array:
    """The largest response of each `size` x `size` region, regions `stride` pixels apart.

    Args:
      x: `[N, H, W, C]`.
      padding: pixels added on each side; they never win.

    Returns:
      `[N, (H + 2 padding - size) // stride + 1, ..., C]`.
    """
    return nn.max_pool(x, (size, size), (stride, stride), [(padding, padding)] * 2)


def average_pool(x: Array, size: int, stride: int, padding: int = 0) -> Array:
    """The mean response of each `size` x `size` region, regions `stride` pixels apart.

    Args:
      x: `[N, H, W, C]`.
      padding: zeros added on each side; they count in the mean.

    Returns:
      `[N, (H + 2 padding - size) // stride + 1, ..., C]`.
    """
    return nn.avg_pool(x, (size, size), (stride, stride), [(padding, padding)] * 2)
