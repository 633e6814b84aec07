"""Where the filters of a convolution stand on a map."""

from typing import NamedTuple

from convnets.errors import InvalidValue

Pair = int | tuple[int, int]
"""One number for height and width, or a number for each."""

Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]
"""Pixels on all sides; (above and left, below and right); or ((above, below), (left, right))."""

Sides = tuple[tuple[int, int], tuple[int, int]]
"""((above, below), (left, right)), in pixels."""


class Geometry(NamedTuple):
    """Strides, padding and dilation in pixels, for height and for width, and the number of groups."""

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
