"""Max pooling whose gradient goes by the place of each maximum, stored in a byte: the form for XLA's CPU compiler."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.layers.geometry import Sides


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool_by_place(x: Array, size: int, stride: int, padding: Sides) -> Array:
    """`[N, H, W, C] -> [N, (H + padding - size) // stride + 1, ..., C]`; regions of at most 256 pixels.

    Args:
      x: float32 or bfloat16.
      padding: pixels above and below, left and right, fewer than `size`.
    """
    everywhere = (0, 0), *padding, (0, 0)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), everywhere)


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


max_pool_by_place.defvjp(_forward, _backward)


def apart(function: Callable[..., Any], *arrays: Array) -> Any:
    """`function(*arrays)`, compiled by itself: its arguments and its results are written to memory.

    XLA's CPU compiler fuses whatever is elementwise into all that reads it, and computes it again in each. Where nine
    readers each want nine comparisons, that costs ten times what a pass over memory does. An `optimization_barrier`
    does not help, for it is dropped before fusion. A conditional stays.

    Args:
      function: gives an array, or a tree of arrays.
      arrays: of floating types.
    """
    if not all(array.size for array in arrays):
        return function(*arrays)
    results = jax.eval_shape(function, *arrays)

    def never(*arrays: Array) -> Any:
        nothing = sum(_first(array) for array in arrays)
        return jax.tree.map(lambda result: jnp.full(result.shape, nothing, result.dtype), results)

    return lax.cond(_true(arrays[0]), function, never, *arrays)


def _true(array: Array) -> Array:
    """True, which only the running program knows."""
    bits = lax.bitcast_convert_type(_first(array), jnp.dtype(f"int{8 * array.dtype.itemsize}"))
    return (bits | 1) != 0


def _first(array: Array) -> Array:
    return array[(0,) * array.ndim]
