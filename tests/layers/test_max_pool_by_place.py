"""Max pooling in the form for XLA's CPU compiler against JAX's own `reduce_window`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.layers import implementation
from convnets.layers.max_pool_by_place import apart
from convnets.layers.pooling import max_pool

POOLS = {
    "2/2": ((2, 6, 8, 3), 2, 2, 0),
    "3/2, padded": ((2, 8, 7, 3), 3, 2, 1),
    "3/2, ceil": ((2, 8, 6, 3), 3, 2, (0, 1)),
    "2/3": ((2, 9, 8, 2), 2, 3, 0),
    "rest left over": ((1, 8, 8, 2), 3, 3, 0),
    "17/4": ((1, 21, 21, 1), 17, 4, 0),
    "asymmetric": ((1, 6, 5, 2), 3, 2, ((2, 0), (1, 1))),
    "empty batch": ((0, 6, 6, 2), 2, 2, 0),
}


def responses(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def by(choice: str, function: Any, *arguments: Any) -> Any:
    with implementation.use(choice):
        return jax.jit(function)(*arguments)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_values_and_gradients_are_those_of_reduce_window(pool, ties, dtype):
    shape, *window = pool
    x = responses(*shape)
    x = jnp.asarray(np.maximum(np.round(x), 0) if ties else x, dtype)

    def both(x: Any) -> Any:
        y, back = jax.vjp(lambda x: max_pool(x, *window), x)
        # Small whole numbers, whose sums are exact in any order.
        dy = (jnp.arange(y.size, dtype=jnp.int32) * 7 % 5 - 1).astype(dtype).reshape(y.shape)
        return max_pool(x, *window), y, back(dy)[0]

    for given, expected in zip(by("xla", both, x), by("plain", both, x), strict=True):
        assert given.dtype == dtype
        np.testing.assert_array_equal(given, expected)


def test_a_nan_comes_through():
    x = responses(1, 6, 6, 2)
    x[0, 2, 3, 0] = np.nan
    y = by("xla", lambda x: jax.vjp(lambda x: max_pool(x, 3, 2, 1), x)[0], x)
    np.testing.assert_array_equal(y, by("plain", lambda x: max_pool(x, 3, 2, 1), x))
    assert np.isnan(y).sum() == 2


def test_second_derivatives_and_batching():
    x = responses(3, 1, 5, 5, 2)

    def bent(x: Any) -> Any:
        slope = jax.grad(lambda x: jnp.sum(max_pool(jnp.sin(x), 3, 2, 1) ** 3))
        return jnp.sum(slope(x) ** 2)

    curvature = jax.vmap(jax.grad(bent))
    np.testing.assert_allclose(by("xla", curvature, x), by("plain", curvature, x), atol=1e-5)


def test_what_is_apart_is_computed_once_and_not_again_in_what_reads_it():
    def step(x: Any) -> Any:
        return apart(lambda x: jnp.where(x > 0, x, 2 * x), x).T + 1

    assert "conditional(" in jax.jit(step).lower(responses(64, 64)).compile().as_text()
    for x in (responses(64, 64), -np.zeros((3, 2), np.float32), np.full((2, 2), np.nan, np.float32), responses(0, 3)):
        np.testing.assert_array_equal(jax.jit(step)(x), np.where(x > 0, x, 2 * x).T + 1)
