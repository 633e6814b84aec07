"""Compiled max pooling against a search of every window in NumPy. Responses are small integers, so sums are exact."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64 import numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.layers import implementation
from convnets.layers.pooling import max_pool

pytestmark = pytest.mark.usefixtures("onednn")


class Problem(NamedTuple):
    """Maps `[N, H, W, C]` and windows on them."""

    shape: tuple[int, int, int, int]
    size: int
    stride: int
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dtype: str = "float32"
    values: int = 4


@st.composite
def problems(draw: Any) -> Problem:
    size, stride = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    pixels = st.integers(0, size - 1)
    padding = tuple((draw(pixels), draw(pixels)) for _ in range(2))
    sides = [draw(st.integers(max(1, size - sum(side)), 12)) for side in padding]
    shape = (draw(st.integers(1, 3)), *sides, draw(st.integers(1, 20)))
    # Two values only give many windows with several maxima.
    values = draw(st.sampled_from([2, 4, 60]))
    return Problem(shape, size, stride, padding, draw(st.sampled_from(["float32", "bfloat16"])), values)


def by_search(x: np.ndarray, dy: Any, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The maxima, and the gradient sent to the first maximum of each window, row by row."""
    (above, _), (left, _) = problem.padding
    y, dx = np.full(dy.shape, np.nan), np.zeros(x.shape)
    for i, j in np.ndindex(*dy.shape[1:3]):
        top, beside = i * problem.stride - above, j * problem.stride - left
        rows = range(max(top, 0), min(top + problem.size, x.shape[1]))
        columns = range(max(beside, 0), min(beside + problem.size, x.shape[2]))
        window = x[:, rows.start : rows.stop, columns.start : columns.stop].reshape(len(x), -1, x.shape[3])
        place = window.argmax(1)
        y[:, i, j] = window.max(1)
        h, w = rows.start + place // len(columns), columns.start + place % len(columns)
        for n, c in np.ndindex(place.shape):
            dx[n, h[n, c], w[n, c], c] += dy[n, i, j, c]
    return y, dx


def value_and_gradient(x: Any, problem: Problem) -> tuple[Any, Any, Any]:
    """The result, a gradient to it, and the gradient to the maps."""

    def pool(x: Any) -> Any:
        return max_pool(x, problem.size, problem.stride, problem.padding)

    def both(x: Any) -> Any:
        y, back = jax.vjp(pool, x)
        dy = (jnp.arange(y.size, dtype=jnp.int32) * 7 % 5 - 1).astype(y.dtype).reshape(y.shape)
        return y, dy, back(dy)[0]

    with implementation.use("onednn"):
        y, dy, dx = jax.jit(both)(x)
        # Without a gradient the places of the maxima are not kept.
        np.testing.assert_array_equal(numbers(jax.jit(pool)(x)), numbers(y))
    return y, dy, dx


def assert_right(problem: Problem) -> None:
    random = np.random.default_rng(0)
    x = random.integers(-problem.values // 2, problem.values // 2, problem.shape).astype(jnp.dtype(problem.dtype))
    y, dy, dx = value_and_gradient(x, problem)
    assert y.dtype == dx.dtype == problem.dtype
    right, right_gradient = by_search(numbers(x), numbers(dy), problem)
    np.testing.assert_array_equal(numbers(y), right)
    np.testing.assert_array_equal(numbers(dx), right_gradient)


AWKWARD = [
    Problem((1, 1, 1, 1), 1, 1),
    Problem((2, 5, 7, 3), 1, 3),
    Problem((2, 3, 4, 5), 3, 2, ((0, 1), (0, 1))),
    Problem((2, 3, 3, 2), 4, 1, ((3, 0), (0, 3))),
    Problem((1, 20, 19, 3), 16, 3, ((15, 2), (0, 15))),
    Problem((1, 21, 20, 2), 17, 2),
    # More than one thread's worth of work.
    Problem((3, 25, 24, 33), 3, 2, ((1, 1), (1, 1))),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("problem", AWKWARD)
def test_awkward_and_large_maps_are_right_in_each_type(problem, dtype):
    assert_right(problem._replace(dtype=dtype))


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(problems())
def test_maxima_and_gradients_are_those_of_a_search(problem):
    assert_right(problem)


@pytest.mark.parametrize("value", [0.0, -np.inf, np.inf, -3.4e38])
def test_of_equal_responses_the_first_of_the_window_has_the_gradient(value):
    """Also where the padding, which never wins, comes before it."""
    problem = Problem((1, 5, 5, 2), 3, 2, ((1, 1), (1, 1)))
    x = np.full(problem.shape, value, np.float32)
    y, dy, dx = value_and_gradient(x, problem)
    np.testing.assert_array_equal(y, np.full(y.shape, x[0, 0, 0, 0]))
    expected = np.zeros(x.shape)
    for i, j in np.ndindex(3, 3):
        expected[:, max(2 * i - 1, 0), max(2 * j - 1, 0)] += dy[:, i, j]
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_window_with_what_is_not_a_number_has_no_maximum(dtype):
    problem = Problem((1, 6, 6, 3), 2, 2)
    x = np.arange(np.prod(problem.shape)).reshape(problem.shape).astype(jnp.dtype(dtype))
    x[0, 2, 3, 1] = np.nan
    y, dy, dx = value_and_gradient(x, problem)
    missing = np.zeros(y.shape, bool)
    missing[0, 1, 1, 1] = True
    np.testing.assert_array_equal(np.isnan(numbers(y)), missing)
    assert dx[0, 2, 3, 1] == dy[0, 1, 1, 1]


def test_windows_that_lie_in_the_padding_alone_are_jaxs():
    with implementation.use("onednn"):
        y = max_pool(jnp.ones((1, 3, 3, 1)), 2, 2, ((2, 0), (0, 0)))
    np.testing.assert_array_equal(y[0, :, :, 0], [[-np.inf], [1]])


@pytest.mark.parametrize("shape", [(0, 6, 6, 3), (2, 6, 6, 0)])
def test_maps_without_numbers_have_no_maxima(shape):
    y, _, dx = value_and_gradient(np.zeros(shape, np.float32), Problem(shape, 2, 2))
    assert y.shape == (shape[0], 3, 3, shape[3]) and dx.shape == shape


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_types_are_pooled_by_jax(dtype):
    with jax.enable_x64(dtype == "float64"):
        assert_right(Problem((2, 5, 6, 3), 3, 2, ((1, 0), (1, 1)), dtype, values=60))
