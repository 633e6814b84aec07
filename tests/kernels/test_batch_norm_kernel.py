"""Compiled batch norm and its gradient against NumPy in float64."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64 import assert_rounded, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.layers import implementation
from convnets.layers.batch_norm import batch_norm

pytestmark = pytest.mark.usefixtures("onednn")


class Problem(NamedTuple):
    """Responses `[..., C]` around a mean, and what is done to them."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    residual: bool = False
    relu: bool = False
    epsilon: float = 1e-5
    mean: float = 0.0


def arrays_of(problem: Problem) -> tuple[dict[str, Any], tuple[Any, Any, Any]]:
    """The arguments, and gradients to the three results."""
    random = np.random.default_rng(0)
    features = problem.shape[-1:]
    arrays = {
        "x": problem.mean + random.normal(size=problem.shape) * random.uniform(0.5, 2, features),
        "scale": random.normal(size=features),
        "bias": random.normal(size=features),
    }
    if problem.residual:
        arrays["residual"] = random.normal(size=problem.shape)
    wide = {name: array.astype(np.float32) for name, array in arrays.items()}
    whole = {name: wide[name].astype(jnp.dtype(problem.dtype)) for name in {"x", "residual"} & set(wide)}
    dy = random.normal(size=problem.shape).astype(np.float32).astype(jnp.dtype(problem.dtype))
    return wide | whole, (dy, *random.normal(size=(2, *features)).astype(np.float32))


def value_and_gradients(arrays: dict[str, Any], towards: Any, epsilon: float, relu: bool) -> Any:
    def both(arrays: dict[str, Any], towards: Any) -> Any:
        results, back = jax.vjp(lambda arrays: batch_norm(**arrays, epsilon=epsilon, relu=relu), arrays)
        return results, back(towards)[0]

    with implementation.use("onednn"):
        return jax.jit(both)(arrays, towards)


def assert_right(problem: Problem) -> None:
    arrays, towards = arrays_of(problem)
    (y, mean, variance), gradients = value_and_gradients(arrays, towards, problem.epsilon, problem.relu)
    assert (y.dtype, mean.dtype, variance.dtype) == (problem.dtype, jnp.float32, jnp.float32)
    assert {n: g.dtype for n, g in gradients.items()} == {n: a.dtype for n, a in arrays.items()}

    x, scale, bias = (numbers(arrays[name]) for name in ("x", "scale", "bias"))
    residual = numbers(arrays.get("residual", 0))
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    right_mean = x.mean(axes)
    centred = x - right_mean
    right_variance = (centred**2).mean(axes)
    # What is centred keeps the rounding of what it was before.
    size = np.abs(x) + np.abs(right_mean)
    assert_rounded(mean, right_mean, np.abs(x).mean(axes), "mean")
    assert_rounded(variance, right_variance, (np.abs(centred) * size).mean(axes), "variance")

    inverse = 1 / np.sqrt(right_variance + problem.epsilon)
    right = centred * inverse * scale + bias + residual
    terms = size * inverse * np.abs(scale) + np.abs(bias) + np.abs(residual)
    assert_rounded(y, np.maximum(right, 0) if problem.relu else right, terms, "y")

    # Which side of its corner the ReLU is on is up to the rounding of the kernel's own result.
    dy, dmean, dvariance = map(numbers, towards)
    dy = np.where(numbers(y) > 0, dy, 0) if problem.relu else dy

    # Ioffe and Szegedy (2015), section 3, one chain of derivatives after the other.
    def by_hand(dy: Any, dmean: Any, dvariance: Any, scale: Any, centred: Any, sign: int) -> dict[str, Any]:
        to_normalized = dy * scale
        to_variance = dvariance + sign * (to_normalized * centred).sum(axes) * inverse**3 / 2
        to_mean = dmean + sign * inverse * to_normalized.sum(axes)
        return {
            "x": to_normalized * inverse + to_variance * 2 * centred / count + to_mean / count,
            "scale": (dy * centred).sum(axes) * inverse,
            "bias": dy.sum(axes),
            "residual": dy,
        }

    right = by_hand(dy, dmean, dvariance, scale, centred, -1)
    terms = by_hand(*map(np.abs, (dy, dmean, dvariance, scale)), size, 1)
    for name, gradient in gradients.items():
        assert_rounded(gradient, right[name], terms[name], f"the gradient to {name}")


AWKWARD = [
    Problem((1, 1)),
    Problem((1, 1, 1, 5), residual=True, relu=True),
    Problem((3,)),
    Problem((7, 2, 3, 1), relu=True),
    Problem((2, 3, 2, 3, 4), residual=True),
    # More than one thread's worth of work and of one block; more filters than a block has room for.
    Problem((6, 17, 19, 33), residual=True, relu=True),
    Problem((40, 1025), relu=True),
    Problem((9, 9001), residual=True),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("problem", AWKWARD)
def test_awkward_and_large_maps_are_right_in_each_type(problem, dtype):
    assert_right(problem._replace(dtype=dtype))


@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(
    st.builds(
        Problem,
        st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(1, 40)),
        st.sampled_from(["float32", "bfloat16"]),
        st.booleans(),
        st.booleans(),
        st.sampled_from([1e-5, 1e-3, 0.25]),
        st.sampled_from([0.0, -3.0, 50.0]),
    )
)
def test_values_statistics_and_gradients_are_those_of_float64(problem):
    assert_right(problem)


def test_a_mean_of_1000_costs_a_deviation_of_a_tenth_no_precision():
    """In float32 a mean of squares less a squared mean is off by some 0.06, six times this variance."""
    x = np.random.default_rng(0).normal(1000, 0.1, (8, 32, 32, 8)).astype(np.float32)
    with implementation.use("onednn"):
        _, mean, variance = batch_norm(x, np.ones(8, np.float32), np.zeros(8, np.float32), epsilon=1e-5)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, x.astype(np.float64).var((0, 1, 2)), rtol=1e-5)


def test_a_constant_map_is_the_bias_and_moves_by_no_gradient():
    x = np.full((4, 5, 5, 3), 7.3, np.float32)
    arrays = {"x": x, "scale": np.full(3, 2.0, np.float32), "bias": np.array([1, -2, 3], np.float32)}
    nothing = np.zeros(3, np.float32)
    (y, _, variance), gradients = value_and_gradients(arrays, (np.ones_like(x), nothing, nothing), 1e-5, False)
    np.testing.assert_allclose(y, np.broadcast_to(arrays["bias"], x.shape), atol=1e-2)
    np.testing.assert_allclose(variance, 0, atol=1e-10)
    np.testing.assert_allclose(gradients["x"], 0, atol=1e-3)


def test_a_residual_of_another_type_is_added_in_the_type_of_the_responses():
    arrays, towards = arrays_of(Problem((2, 5, 5, 4), "bfloat16", residual=True, relu=True))
    (expected, *_), _ = value_and_gradients(arrays, towards, 1e-5, True)
    (y, *_), gradients = value_and_gradients(
        arrays | {"residual": arrays["residual"].astype(np.float32)}, towards, 1e-5, True
    )
    np.testing.assert_array_equal(numbers(y), numbers(expected))
    assert y.dtype == jnp.bfloat16 and gradients["residual"].dtype == jnp.float32


def test_what_is_not_a_number_stays_so():
    x = np.ones((2, 3, 3, 2), np.float32)
    x[1, 2, 0, 1] = np.nan
    with implementation.use("onednn"):
        y, mean, _ = batch_norm(x, np.ones(2, np.float32), np.ones(2, np.float32), epsilon=1e-3, relu=True)
    assert np.isnan(y[..., 1]).all() and np.isnan(mean[1])
    assert np.isfinite(y[..., 0]).all() and np.isfinite(mean[0])


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_types_are_computed_by_jax(dtype):
    with jax.enable_x64(dtype == "float64"), implementation.use("onednn"):
        x = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(dtype)
        y, _, _ = batch_norm(x, np.ones(2, np.float32), np.zeros(2, np.float32), epsilon=1e-3)
        right = (x - numbers(x).mean((0, 1, 2))) / np.sqrt(numbers(x).var((0, 1, 2)) + 1e-3)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, right, rtol=5e-3, atol=5e-3)


def test_a_batch_of_no_images_has_no_responses():
    with implementation.use("onednn"):
        y, *_ = batch_norm(jnp.zeros((0, 4, 4, 2)), jnp.ones(2), jnp.zeros(2), epsilon=1e-3, relu=True)
    assert y.shape == (0, 4, 4, 2)
