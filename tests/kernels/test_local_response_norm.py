"""Local response norms and their gradients, compiled and by JAX, against NumPy in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64 import UNIT, numbers

from convnets.layers import LocalResponseNorm, implementation
from convnets.layers.local_response_norm import local_response_norm

pytestmark = pytest.mark.usefixtures("onednn")

PAPER = {"size": 5, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}
STRONG = {"size": 3, "bias": 1.0, "alpha": 0.5, "beta": 0.75}


def by_definition(x: Any, size: int, bias: float, alpha: float, beta: float) -> tuple[Any, Any]:
    """The sums of the bias and the neighbours' squares, and the results."""
    reach, channels = size // 2, x.shape[-1]
    squares = np.stack([np.square(x[..., max(0, i - reach) : i + reach + 1]).sum(-1) for i in range(channels)], axis=-1)
    sums = bias + alpha * squares
    return sums, x * sums**-beta


@pytest.mark.parametrize("choice", ["onednn", "plain"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", [PAPER, STRONG], ids=["the paper's", "strong"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 2), (2, 4, 3, 17), (3, 19, 23, 96), (7, 33)])
def test_values_and_gradients_are_those_of_float64(shape, options, dtype, choice):
    random = np.random.default_rng(0)
    x, dy = ((scale * random.normal(size=shape)).astype(jnp.dtype(dtype)) for scale in (30, 1))
    with implementation.use(choice):
        y, back = jax.vjp(jax.jit(lambda x: local_response_norm(x, **options)), x)
        dx = back(dy)[0]
    assert y.dtype == dx.dtype == dtype
    wide, above = numbers(x), numbers(dy)
    sums, right = by_definition(wide, **options)
    rounding = 1.01 * UNIT[dtype] + 20 * UNIT["float32"]
    assert (np.abs(numbers(y) - right) <= rounding * np.abs(right)).all()

    beta, reach = options["beta"], options["size"] // 2
    terms = above * wide * sums ** (-beta - 1)
    padded = np.pad(terms, [(0, 0)] * (len(shape) - 1) + [(reach, reach)])
    near = sum(padded[..., i : i + shape[-1]] for i in range(options["size"]))
    first, second = above * sums**-beta, 2 * options["alpha"] * beta * wide * near
    size = np.abs(first) + 2 * options["alpha"] * beta * np.abs(wide) * np.abs(padded).max()
    assert (np.abs(numbers(dx) - (first - second)) <= rounding * np.abs(first - second) + 1e-5 * size).all()


def test_other_exponents_and_types_are_computed_by_jax():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 8)).astype(np.float32)
    for given, options in ((x, PAPER | {"beta": 0.5}), (x.astype(np.float16), PAPER), (x[:0], PAPER)):
        with implementation.use("onednn"):
            y = local_response_norm(given, **options)
        assert y.dtype == given.dtype
        right = by_definition(given.astype(np.float64), **options)[1]
        np.testing.assert_allclose(numbers(y), right, rtol=1e-3 if given.dtype == np.float16 else 1e-6)


def test_second_derivatives_are_those_of_jaxs_own_operations():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 9)).astype(np.float32)

    def bent(x: Any) -> Any:
        slope = jax.grad(lambda x: jnp.sum(jnp.sin(local_response_norm(x, **STRONG))))
        return jnp.sum(jnp.square(slope(x)))

    results = []
    for choice in ("onednn", "plain"):
        with implementation.use(choice):
            results.append(jax.jit(jax.grad(bent))(x))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)


def test_by_default_the_layer_is_the_papers():
    x = np.random.default_rng(0).normal(0, 30, (2, 3, 4, 9)).astype(np.float32)
    right = by_definition(x.astype(np.float64), **PAPER)[1]
    np.testing.assert_allclose(LocalResponseNorm().apply({}, x), right, rtol=1e-5)
