"""The operations in NumPy and float64, by their definitions; and how far from them rounding may lead."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

Array = np.ndarray

UNIT = {"float32": 2.0**-24, "bfloat16": 2.0**-8}
"""Largest relative error of rounding to a type."""

GROWTH = 24
"""Errors of a sum in float32, in units of the sum of the terms' sizes: they grow like the root of their number."""


class Window(NamedTuple):
    """Of a convolution: ((above, below), (left, right)) and pairs for height and width."""

    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def options(self) -> dict[str, Any]:
        """As `convolution` takes them."""
        return {
            "stride": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def result(self, map_size: tuple[int, ...], kernel_size: tuple[int, ...]) -> tuple[int, ...]:
        """Rows and columns."""
        return tuple(
            (map_size[i] + sum(self.padding[i]) - (kernel_size[i] - 1) * self.dilation[i] - 1) // self.strides[i] + 1
            for i in (0, 1)
        )

    def tap(self, i: int, j: int, rows: int, columns: int) -> tuple[slice, ...]:
        """Where on the padded maps the windows have their tap (i, j)."""
        top, left = i * self.dilation[0], j * self.dilation[1]
        down, right = top + (rows - 1) * self.strides[0] + 1, left + (columns - 1) * self.strides[1] + 1
        return slice(None), slice(top, down, self.strides[0]), slice(left, right, self.strides[1])


def numbers(x: Any) -> Array:
    """What an array of any type holds, in float64."""
    return np.asarray(x).astype(np.float64)


def convolution(x: Array, kernel: Array, window: Window) -> Array:
    """Each filter laid over each place of the padded maps, tap by tap."""
    padded = np.pad(x, [(0, 0), *window.padding, (0, 0)])
    rows, columns = window.result(x.shape[1:3], kernel.shape[:2])
    parts = np.split(padded, window.groups, axis=-1), np.split(kernel, window.groups, axis=-1)
    return np.concatenate(
        [
            sum(
                part[window.tap(i, j, rows, columns)] @ filters[i, j]
                for i in range(kernel.shape[0])
                for j in range(kernel.shape[1])
            )
            for part, filters in zip(*parts, strict=True)
        ],
        axis=-1,
    )


def convolution_input_gradient(dy: Array, kernel: Array, window: Window, shape: tuple[int, ...]) -> Array:
    """Each response's gradient sent back to the pixels it saw."""
    (above, below), (left, right) = window.padding
    groups, rows, columns = window.groups, *dy.shape[1:3]
    padded = np.zeros((shape[0], shape[1] + above + below, shape[2] + left + right, shape[3]))
    parts = np.split(dy, groups, axis=-1), np.split(kernel, groups, axis=-1), np.split(padded, groups, axis=-1)
    for gradient, filters, part in zip(*parts, strict=True):
        for i in range(kernel.shape[0]):
            for j in range(kernel.shape[1]):
                part[window.tap(i, j, rows, columns)] += gradient @ filters[i, j].T
    return padded[:, above : above + shape[1], left : left + shape[2]]


def convolution_kernel_gradient(x: Array, dy: Array, window: Window, shape: tuple[int, ...]) -> Array:
    """What each tap saw, times the gradient of the responses it took part in."""
    padded = np.pad(x, [(0, 0), *window.padding, (0, 0)])
    rows, columns = dy.shape[1:3]
    parts = np.split(padded, window.groups, axis=-1), np.split(dy, window.groups, axis=-1)
    taps = [
        [
            np.concatenate(
                [
                    np.einsum("nhwc,nhwf->cf", part[window.tap(i, j, rows, columns)], gradient)
                    for part, gradient in zip(*parts, strict=True)
                ],
                axis=-1,
            )
            for j in range(shape[1])
        ]
        for i in range(shape[0])
    ]
    return np.array(taps).reshape(shape)


def assert_rounded(given: Any, exact: Array, terms: Array, name: str = "") -> None:
    """`given` is the rounding of `exact`, a sum in float32 of terms whose sizes add up to `terms`."""
    assert given.shape == exact.shape, f"{name}: {given.shape} is not {exact.shape}"
    unit = UNIT[jnp.dtype(given.dtype).name]
    allowed = 1.01 * unit * np.abs(exact) + GROWTH * UNIT["float32"] * terms
    excess = np.abs(numbers(given) - exact) - allowed
    worst = np.unravel_index(excess.argmax(), excess.shape) if excess.size else ()
    assert not excess.size or excess.max() <= 0, (
        f"{name} is {numbers(given)[worst]} at {worst} of {exact.shape}, and must be {exact[worst]} +- {allowed[worst]}"
    )
