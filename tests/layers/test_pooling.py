"""Pooling against loops in NumPy."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from convnets.layers import average_pool, max_pool

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
