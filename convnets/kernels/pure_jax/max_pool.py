"""Max pooling whose gradient goes by the place of each maximum, stored in a byte."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from convnets.kernels.pure_jax.apart import apart

Sides = tuple[tuple[int, int], tuple[int, int]]


def max_pool(x: Array, size: int, stride: int, padding: Sides) -> Array:
    """The largest response of each `size` x `size` region, regions `stride` pixels apart.

    The gradient goes to the first maximum of a region, row by row, as with `lax.reduce_window`; a region with a NaN is
    NaN.

    Args:
      x: `[N, H, W, C]`.
      padding: pixels above and below, left and right; they never win.

    Returns:
      `[N, (H + padding - size) // stride + 1, ..., C]`.
    """
    if size * size > 256:
        return _by_windows(x, size, stride, padding)
    return _max_pool(x, size, stride, padding)


def _by_windows(x: Array, size: int, stride: int, padding: Sides) -> Array:
    lowest = np.array(-np.inf, x.dtype)
    sides = ((0, 0), *padding, (0, 0))
    return lax.reduce_window(x, lowest, lax.max, (1, size, size, 1), (1, stride, stride, 1), sides)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x: Array, size: int, stride: int, padding: Sides) -> Array:
    return _by_windows(x, size, stride, padding)


def _forward(x: Array, size: int, stride: int, padding: Sides) -> tuple[Array, tuple[Array, Array]]:
    # Apart, or the backward pass would compute the places again for each of its parts.
    largest, place = apart(partial(_largest_and_place, size=size, stride=stride, padding=padding), x)
    return largest, (place, jnp.zeros((0, *x.shape[1:3]), jnp.uint8))


def _largest_and_place(x: Array, size: int, stride: int, padding: Sides) -> tuple[Array, Array]:
    """The maxima, and of each the place in its region, counted row by row."""
    # Numbers of 16 bits are compared in 32 anyhow, but slowly.
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    padded = jnp.pad(wide, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
    rows, columns = ((length - size) // stride + 1 for length in padded.shape[1:3])
    largest = _every(padded, 0, 0, rows, columns, stride)
    place = jnp.zeros(largest.shape, jnp.uint8)
    for number in range(1, size * size):
        one = _every(padded, *divmod(number, size), rows, columns, stride)
        wins = (one > largest) | (jnp.isnan(one) & ~jnp.isnan(largest))
        largest = jnp.where(wins, one, largest)
        place = jnp.where(wins, jnp.uint8(number), place)
    return largest.astype(x.dtype), place


def _every(padded: Array, i: int, j: int, rows: int, columns: int, stride: int) -> Array:
    """What the regions have at row i and column j."""
    n, _, _, channels = padded.shape
    stop = (n, i + (rows - 1) * stride + 1, j + (columns - 1) * stride + 1, channels)
    return lax.slice(padded, (0, i, j, 0), stop, (1, stride, stride, 1))


def _backward(size: int, stride: int, padding: Sides, kept: tuple[Array, Array], dy: Array) -> tuple[Array]:
    place, shape = kept
    wide = dy.astype(jnp.promote_types(dy.dtype, jnp.float32))
    zero = jnp.zeros((), wide.dtype)
    (top, bottom), (left, right) = padding
    height, width = shape.shape[1] + top + bottom, shape.shape[2] + left + right
    dx = zero
    for number in range(size * size):
        i, j = divmod(number, size)
        part = jnp.where(place == number, wide, zero)
        below = height - i - (dy.shape[1] - 1) * stride - 1
        beside = width - j - (dy.shape[2] - 1) * stride - 1
        dx = dx + lax.pad(part, zero, ((0, 0, 0), (i, below, stride - 1), (j, beside, stride - 1), (0, 0, 0)))
    return (dx[:, top : height - bottom, left : width - right].astype(dy.dtype),)


_max_pool.defvjp(_forward, _backward)
