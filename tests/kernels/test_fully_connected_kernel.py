"""Compiled matrix products and their gradients against NumPy in float64."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64 import assert_rounded, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.kernels import library, products
from convnets.kernels.products import FEW_ROWS
from convnets.layers import implementation
from convnets.layers.fully_connected import fully_connected

pytestmark = pytest.mark.usefixtures("onednn")


class Problem(NamedTuple):
    """`[N, K] @ [K, F]`, and what follows it."""

    rows: int
    inputs: int
    features: int
    types: tuple[str, str] = ("float32", "float32")
    bias: bool = False
    relu: bool = False


def arrays_of(problem: Problem) -> dict[str, Any]:
    random = np.random.default_rng(0)
    rows, inputs, features, (of_x, of_kernel), bias, _ = problem
    arrays = {
        "x": random.normal(size=(rows, inputs)).astype(np.float32).astype(jnp.dtype(of_x)),
        "kernel": random.normal(size=(inputs, features)).astype(np.float32).astype(jnp.dtype(of_kernel)),
        "dy": random.normal(size=(rows, features)).astype(np.float32).astype(jnp.dtype(of_x)),
    }
    return arrays | ({"bias": random.normal(size=features).astype(np.float32)} if bias else {})


def value_and_gradients(arrays: dict[str, Any], relu: bool) -> Any:
    def both(arrays: dict[str, Any], dy: Any) -> Any:
        y, back = jax.vjp(lambda arrays: fully_connected(**arrays, relu=relu), arrays)
        return y, back(dy)[0]

    arrays = dict(arrays)
    with implementation.use("onednn"):
        return jax.jit(both)(arrays, arrays.pop("dy"))


def assert_right(problem: Problem, rounds_kernel: bool | None = None) -> None:
    arrays = arrays_of(problem)
    y, gradients = value_and_gradients(arrays, problem.relu)
    given_types = {name: array.dtype for name, array in arrays.items() if name != "dy"}
    assert y.dtype == problem.types[0] and {n: g.dtype for n, g in gradients.items()} == given_types

    kernel = arrays["kernel"]
    if rounds_kernel is None:
        rounds_kernel = problem.rows > FEW_ROWS and library.multiplies_bfloat16()
    kernel = numbers(kernel.astype(arrays["x"].dtype) if rounds_kernel else kernel)
    x, bias = numbers(arrays["x"]), numbers(arrays.get("bias", 0))
    right, terms = x @ kernel + bias, np.abs(x) @ np.abs(kernel) + np.abs(bias)
    assert_rounded(y, np.maximum(right, 0) if problem.relu else right, terms, "y")

    # Which side of its corner the ReLU is on is up to the rounding of the kernel's own result.
    dy = np.where(numbers(y) > 0, numbers(arrays["dy"]), 0) if problem.relu else numbers(arrays["dy"])
    assert_rounded(gradients["x"], dy @ kernel.T, np.abs(dy) @ np.abs(kernel.T), "the gradient to x")
    assert_rounded(gradients["kernel"], x.T @ dy, np.abs(x.T) @ np.abs(dy), "the gradient to the kernel")
    if problem.bias:
        assert_rounded(gradients["bias"], dy.sum(0), np.abs(dy).sum(0), "the gradient to the bias")


TYPES = [("float32", "float32"), ("bfloat16", "float32"), ("bfloat16", "bfloat16")]
AWKWARD = [
    Problem(1, 1, 1),
    Problem(1, 300, 1, bias=True, relu=True),
    Problem(FEW_ROWS, 1, 65, relu=True),
    Problem(FEW_ROWS + 1, 65, 1, bias=True),
    Problem(3, 400, 257, bias=True, relu=True),
    Problem(130, 200, 311, bias=True, relu=True),
]


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("problem", AWKWARD)
def test_awkward_and_large_products_are_right_in_each_type(problem, types):
    assert_right(problem._replace(types=types))


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(
    st.builds(
        Problem,
        st.one_of(st.integers(1, 20), st.integers(60, 70)),
        st.integers(1, 70),
        st.integers(1, 40),
        st.sampled_from(TYPES),
        st.booleans(),
        st.booleans(),
    )
)
def test_values_and_gradients_are_those_of_float64(problem):
    assert_right(problem)


def test_products_of_the_same_shapes_are_told_apart():
    """What is compiled for one is used again for its like, and for nothing else."""
    problem = Problem(6, 6, 6)
    assert_right(problem)
    for change in ({"relu": True}, {"bias": True}, {"types": TYPES[1]}, {"types": TYPES[2]}, {}):
        assert_right(problem._replace(**change))


@pytest.mark.parametrize("types", TYPES[1:])
def test_bfloat16_is_right_on_processors_that_do_not_multiply_it(types, monkeypatch):
    for module in (library, products):
        monkeypatch.setattr(module, "multiplies_bfloat16", lambda: False)
    assert_right(Problem(FEW_ROWS + 6, 33, 17, types, bias=True, relu=True), rounds_kernel=False)


def test_what_is_not_a_number_stays_so_through_the_relu():
    x = np.ones((3, 4), np.float32)
    x[1, 2] = np.nan
    with implementation.use("onednn"):
        y = fully_connected(x, np.ones((4, 5), np.float32), np.ones(5, np.float32), relu=True)
    assert np.isnan(y[1]).all(), "a run that diverges must be seen"
    np.testing.assert_array_equal(y[::2], np.full((2, 5), 5))


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_products_without_numbers_are_jaxs(shape):
    rows, inputs, features = shape
    arrays = arrays_of(Problem(*shape, bias=True))
    y, gradients = value_and_gradients(arrays, relu=False)
    np.testing.assert_allclose(y, np.broadcast_to(arrays["bias"], (rows, features)) if not inputs else arrays["dy"])
    assert gradients["x"].shape == (rows, inputs) and gradients["kernel"].shape == (inputs, features)


def test_float16_and_float64_are_computed_by_jax():
    for dtype, close in (("float16", 2e-2), ("float64", 1e-12)):
        with jax.enable_x64(dtype == "float64"), implementation.use("onednn"):
            x, kernel = (np.random.default_rng(0).normal(size=shape).astype(dtype) for shape in ((3, 7), (7, 5)))
            y = fully_connected(x, kernel, relu=True)
            assert y.dtype == dtype
            np.testing.assert_allclose(y, np.maximum(numbers(x) @ numbers(kernel), 0), rtol=close, atol=close)
