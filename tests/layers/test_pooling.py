"""Pooling against loops in NumPy."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from convnets.errors import InvalidValue
from convnets.layers import adaptive_average_pool, average_pool, max_pool

GRID = [
    (1, 1, 0, 3, 4),
    (1, 2, 0, 5, 6),
    (2, 2, 0, 6, 4),
    (2, 2, 0, 7, 5),
    (2, 1, 1, 3, 4),
    (3, 2, 0, 7, 8),
    (3, 2, 1, 6, 7),
    (3, 1, 1, 4, 4),
    (3, 3, 2, 5, 8),
    (5, 2, 2, 5, 9),
    (7, 1, 0, 7, 7),
]

over_the_grid = pytest.mark.parametrize(("size", "stride", "padding", "height", "width"), GRID)


def regions(x: np.ndarray, size: int, stride: int, padding: int, fill: float, reduce: Callable[..., Any]) -> np.ndarray:
    x = np.pad(x.astype(np.float64), ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=fill)
    rows, columns = ((side - size) // stride + 1 for side in x.shape[1:3])
    result = np.empty((len(x), rows, columns, x.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            result[:, row, column] = reduce(x[:, top : top + size, left : left + size], axis=(1, 2))
    return result


def negative_responses(height: int, width: int) -> np.ndarray:
    """All below zero, so that a padding of zeros would win a maximum."""
    return np.random.default_rng(height * width).uniform(-5, -1, (2, height, width, 3)).astype(np.float32)


@over_the_grid
def test_max_pool_is_the_largest_of_each_region_and_padding_never_wins(size, stride, padding, height, width):
    x = negative_responses(height, width)
    expected = regions(x, size, stride, padding, -np.inf, np.max)
    y = max_pool(jnp.asarray(x), size, stride, padding)
    assert y.shape == expected.shape
    np.testing.assert_array_equal(y, expected)


@over_the_grid
def test_average_pool_is_the_mean_of_each_region_and_padding_counts_as_zeros(size, stride, padding, height, width):
    x = negative_responses(height, width)
    expected = regions(x, size, stride, padding, 0.0, np.mean)
    y = average_pool(jnp.asarray(x), size, stride, padding)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_the_type_of_the_responses_stays(pool):
    assert pool(jnp.ones((1, 4, 4, 2), jnp.bfloat16), 2, 2).dtype == jnp.bfloat16


@pytest.mark.parametrize("side", [4, 5, 6, 7, 8, 13])
def test_padding_below_and_right_lets_3x3_pools_halve_a_map_of_any_size(side):
    x = negative_responses(side, side)
    y = max_pool(jnp.asarray(x), 3, 2, (0, 1))
    assert y.shape[1:3] == (side // 2, side // 2)
    for i in range(side // 2):
        for j in range(side // 2):
            expected = x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2))
            np.testing.assert_array_equal(y[:, i, j], expected)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(14, 14, 4), (8, 8, 4), (7, 9, 3), (3, 3, 3), (3, 2, 4), (5, 6, 1)]
)
def test_adaptive_regions_cover_the_map(height, width, size):
    x = negative_responses(height, width)
    y = adaptive_average_pool(jnp.asarray(x), size)
    assert y.shape == (len(x), size, size, x.shape[-1])
    for i in range(size):
        for j in range(size):
            rows = slice(math.floor(i * height / size), math.ceil((i + 1) * height / size))
            columns = slice(math.floor(j * width / size), math.ceil((j + 1) * width / size))
            np.testing.assert_allclose(y[:, i, j], x[:, rows, columns].mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_a_map_smaller_than_a_region_is_refused(pool):
    with pytest.raises(InvalidValue, match="a pool of 3 x 3 regions was given a map of 2 x 5: use a larger image"):
        pool(jnp.zeros((1, 2, 5, 1)), 3, 2)
    assert pool(jnp.zeros((1, 2, 5, 1)), 3, 2, (0, 1)).shape == (1, 1, 2, 1)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("pool", [lambda x: average_pool(x, 56, 1), lambda x: adaptive_average_pool(x, 1)])
def test_means_of_large_regions_lose_nothing_in_short_types(pool, dtype):
    x = jnp.asarray(100 * np.abs(np.random.default_rng(0).normal(size=(1, 56, 56, 3))), dtype)
    y = pool(x)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(np.asarray(y, np.float64)[:, 0, 0], np.asarray(x, np.float64).mean((1, 2)), rtol=0.005)
