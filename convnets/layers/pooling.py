"""Spatial pooling with padding written as numbers."""

from functools import partial, reduce

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.layers.geometry import Padding, Sides, check_floating, sides
from convnets.layers.implementation import implementation, kernels
from convnets.layers.max_pool_by_place import max_pool_by_place


def max_pool(x: Array, size: int, stride: int, padding: Padding = 0) -> Array:
    """The largest response of each `size` x `size` region, regions `stride` pixels apart.

    Args:
      x: `[N, H, W, C]`, of any floating type. Where several are largest, the gradient goes to the first, row by row; a
        region with a NaN is NaN.
      padding: pixels added on the sides; they never win.

    Returns:
      `[N, (H + padding - size) // stride + 1, ..., C]`, with the padding of both sides.

    Raises:
      InvalidValue: a map smaller than a region, another type, or a size or stride below 1.
    """
    around = _checked("max pooling", x, size, stride, padding)
    chosen = implementation()
    # A region must not lie in the padding alone: there nothing is largest.
    inside = all(0 <= pixels < size for side in around for pixels in side)
    if chosen != "plain" and x.dtype in (jnp.float32, jnp.bfloat16) and inside and x.size:
        if chosen == "onednn" and size <= kernels.LARGEST_WINDOW:
            return kernels.max_pool(x, size, stride, around)
        if size * size <= 256:
            return max_pool_by_place(x, size, stride, around)
    return _reduce_window(x, size, stride, around)


def _reduce_window(x: Array, size: int, stride: int, padding: Sides) -> Array:
    everywhere = (0, 0), *padding, (0, 0)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), everywhere)


def average_pool(x: Array, size: int, stride: int, padding: Padding = 0) -> Array:
    """The mean response of each `size` x `size` region, regions `stride` pixels apart; summed in float32 at least.

    Args:
      x: `[N, H, W, C]`, of any floating type.
      padding: zeros added on the sides; they count in the mean.

    Returns:
      `[N, (H + padding - size) // stride + 1, ..., C]`, with the padding of both sides.

    Raises:
      InvalidValue: a map smaller than a region, another type, or a size or stride below 1.
    """
    around = _checked("average pooling", x, size, stride, padding)
    tiled = size == stride and around == ((0, 0), (0, 0)) and x.shape[1] % size == x.shape[2] % size == 0
    if tiled and implementation() != "plain" and x.dtype in (jnp.float32, jnp.bfloat16):
        return _mean_of_tiles(x, size)
    return nn.avg_pool(_at_least_float32(x), (size, size), (stride, stride), around).astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _mean_of_tiles(x: Array, size: int) -> Array:
    """`[N, size H, size W, C] -> [N, H, W, C]`, summed in float32, rows first: faster on CPUs."""
    count, height, width, channels = x.shape
    lines = x.astype(jnp.float32).reshape(count, height // size, size, width * channels)
    rows = reduce(jnp.add, [lines[:, :, i] for i in range(size)])
    rows = rows.reshape(count, height // size, width // size, size, channels)
    return (reduce(jnp.add, [rows[:, :, :, i] for i in range(size)]) / size**2).astype(x.dtype)


def _tiles_forward(x: Array, size: int) -> tuple[Array, None]:
    return _mean_of_tiles(x, size), None


def _tiles_backward(size: int, _: None, dy: Array) -> tuple[Array]:
    count, height, width, channels = dy.shape
    share = (dy.astype(jnp.float32) / size**2).astype(dy.dtype)
    spread = jnp.broadcast_to(share[:, :, None, :, None], (count, height, size, width, size, channels))
    return (spread.reshape(count, height * size, width * size, channels),)


_mean_of_tiles.defvjp(_tiles_forward, _tiles_backward)


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


def _checked(name: str, x: Array, size: int, stride: int, padding: Padding) -> Sides:
    """The padding of each side."""
    check_floating(name, x=x)
    if x.ndim != 4 or size < 1 or stride < 1:
        raise InvalidValue(
            f"{name} takes [N, H, W, C] and a size and a stride of at least 1, and was given {x.shape}, "
            f"size {size}, stride {stride}"
        )
    around = sides(padding)
    if min(length + sum(side) for length, side in zip(x.shape[1:3], around, strict=True)) < size:
        raise InvalidValue(
            f"a pool of {size} x {size} regions was given a map of {x.shape[1]} x {x.shape[2]}: use a larger image"
        )
    return around
