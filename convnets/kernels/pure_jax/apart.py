"""A fence against fusion.

XLA's CPU compiler fuses whatever is elementwise into all that reads it, and computes it again in each. Where nine
readers each want nine comparisons, or a reader goes through memory in another order, that costs ten times what a pass
over memory does. An `optimization_barrier` does not help, for it is dropped before fusion. A conditional stays.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def apart(function: Callable[..., Any], *arrays: Array) -> Any:
    """`function(*arrays)`, compiled by itself: its arguments and its results are written to memory.

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
