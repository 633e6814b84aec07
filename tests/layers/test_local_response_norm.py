"""Local response norm against the paper's formula, filter by filter."""

import jax.numpy as jnp
import numpy as np
import pytest

from convnets.layers import LocalResponseNorm


def by_hand(x: np.ndarray, size: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    """Krizhevsky et al. 2012, section 3.3, in float64."""
    x = x.astype(np.float64)
    y = np.empty_like(x)
    filters, reach = x.shape[-1], size // 2
    for i in range(filters):
        neighbours = x[..., max(0, i - reach) : min(filters - 1, i + reach) + 1]
        y[..., i] = x[..., i] / (bias + alpha * (neighbours**2).sum(-1)) ** beta
    return y


def responses(filters: int) -> np.ndarray:
    return np.random.default_rng(filters).normal(0, 30, (2, 3, 4, filters)).astype(np.float32)


@pytest.mark.parametrize("filters", [1, 3, 5, 96])
def test_by_default_it_is_the_papers(filters):
    x = responses(filters)
    np.testing.assert_allclose(LocalResponseNorm().apply({}, x), by_hand(x, 5, 2, 1e-4, 0.75), rtol=1e-5)


def test_other_numbers():
    x = responses(8)
    layer = LocalResponseNorm(size=3, bias=1.0, alpha=0.01, beta=0.5)
    np.testing.assert_allclose(layer.apply({}, x), by_hand(x, 3, 1, 0.01, 0.5), rtol=1e-5)


def test_in_bfloat16_it_is_computed_in_float32():
    x = jnp.asarray(responses(16), jnp.bfloat16)
    y = LocalResponseNorm().apply({}, x)
    assert y.dtype == jnp.bfloat16
    expected = by_hand(np.asarray(x, np.float32), 5, 2, 1e-4, 0.75)
    np.testing.assert_array_equal(y, jnp.asarray(expected.astype(np.float32), jnp.bfloat16))
