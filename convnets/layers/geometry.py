"""Where windows stand on a map: strides, padding and dilation, in pixels."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue

Pair = int | tuple[int, int]
"""One number for height and width, or a number for each."""

Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]
"""Pixels on all sides; (above and left, below and right); or ((above, below), (left, right))."""

Sides = tuple[tuple[int, int], tuple[int, int]]
"""((above, below), (left, right))."""


class Geometry(NamedTuple):
    """Strides, padding and dilation for height and for width, and the number of groups."""

    strides: tuple[int, int]
    padding: Sides
    dilation: tuple[int, int]
    groups: int


def geometry(stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Geometry:
    """The geometry that the shorter forms stand for.

    Raises:
      InvalidValue: a stride, a dilation or a number of groups below 1.
    """
    result = Geometry(pair(stride), sides(padding), pair(dilation), groups)
    if min(*result.strides, *result.dilation, groups) < 1:
        raise InvalidValue(f"stride {stride}, dilation {dilation} and groups {groups} must all be at least 1")
    return result


def pair(value: Pair) -> tuple[int, int]:
    """A number for height and one for width."""
    return (value, value) if isinstance(value, int) else value


def sides(padding: Padding) -> Sides:
    """The padding of each side."""
    before, after = pair(padding) if isinstance(padding, int) else padding
    if isinstance(before, int) and isinstance(after, int):
        return (before, after), (before, after)
    assert isinstance(before, tuple) and isinstance(after, tuple)
    return before, after


def positions(length: int, window: int, stride: int = 1, padding: int = 0) -> int:
    """How many windows of `window` pixels, `stride` apart, fit into `length` pixels and `padding` more on each side."""
    return max(0, (length + 2 * padding - window) // stride + 1)


def check_floating(operation: str, **arrays: Array | None) -> None:
    """Refuses arrays that are not of floating point: a kernel in the type of an image of uint8 would be all zeros.

    Raises:
      InvalidValue: which array it is.
    """
    for name, array in arrays.items():
        if array is not None and not jnp.issubdtype(array.dtype, jnp.floating):
            raise InvalidValue(
                f"{operation} was given {name} of type {jnp.dtype(array.dtype).name}, and takes floating point: "
                f"convert it, as in {name}.astype(jnp.float32)"
            )
