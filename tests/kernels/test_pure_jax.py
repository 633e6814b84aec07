"""The formulations for XLA's CPU compiler, against lax in float64, PyTorch's rules and hand calculations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from convnets import kernels
from convnets.kernels.pure_jax import batch_norm, compiler_options, convolution, matrix_product, max_pool
from convnets.kernels.pure_jax.apart import apart
from convnets.kernels.pure_jax.compiler_options import COMPILER_OPTIONS

CLOSE = {"float32": 1e-5, "bfloat16": 1e-2}
NONE = ((0, 0), (0, 0))
ONE = ((1, 1), (1, 1))


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape, np.float32)


def assert_near(given, expected, close: float) -> None:
    """Relative to the largest entry."""
    given, expected = np.asarray(given, np.float64), np.asarray(expected, np.float64)
    assert given.shape == expected.shape
    if expected.size:
        assert np.abs(given - expected).max() <= close * max(1e-3, np.abs(expected).max())


# shape, kernel, strides, padding, dilation, groups
GEOMETRIES = {
    "3x3": ((2, 6, 7, 4), (3, 3, 4, 5), (1, 1), ONE, (1, 1), 1),
    "1x1": ((2, 5, 4, 6), (1, 1, 6, 3), (1, 1), NONE, (1, 1), 1),
    "1x1, stride 2": ((2, 5, 4, 6), (1, 1, 6, 3), (2, 2), NONE, (1, 1), 1),
    "1x1, padded": ((2, 3, 4, 6), (1, 1, 6, 3), (2, 1), ONE, (1, 1), 1),
    "1x1 in groups": ((2, 5, 4, 6), (1, 1, 3, 4), (1, 1), NONE, (1, 1), 2),
    "1x1, dilated": ((2, 5, 4, 6), (1, 1, 6, 3), (1, 2), NONE, (2, 3), 1),
    "stride 2": ((2, 8, 7, 3), (3, 3, 3, 4), (2, 2), ONE, (1, 1), 1),
    "strides 2 and 3": ((2, 9, 8, 3), (3, 2, 3, 4), (2, 3), ((0, 1), (1, 0)), (1, 1), 1),
    "stride > kernel": ((1, 9, 9, 2), (2, 2, 2, 3), (4, 3), NONE, (1, 1), 1),
    "asymmetric": ((2, 6, 5, 3), (3, 3, 3, 4), (1, 1), ((2, 0), (0, 3)), (1, 1), 1),
    "dilated": ((2, 9, 9, 3), (3, 3, 3, 4), (1, 1), ((2, 2), (2, 2)), (2, 2), 1),
    "dilated, stride 2": ((2, 9, 8, 4), (3, 3, 2, 4), (2, 1), ONE, (2, 1), 2),
    "depthwise": ((2, 6, 6, 4), (3, 3, 1, 8), (1, 1), ONE, (1, 1), 4),
    "one pixel": ((3, 1, 1, 4), (3, 3, 4, 5), (1, 1), ONE, (1, 1), 1),
    "7x7, few channels": ((1, 14, 14, 3), (7, 7, 3, 8), (2, 2), ((3, 3), (3, 3)), (1, 1), 1),
    "empty batch": ((0, 5, 5, 3), (3, 3, 3, 4), (1, 1), ONE, (1, 1), 1),
    "empty batch, 1x1": ((0, 5, 5, 3), (1, 1, 3, 4), (1, 1), NONE, (1, 1), 1),
}


def reference(x, kernel, strides, padding, dilation, groups):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=layout, feature_group_count=groups
    )


def ours(x, kernel, strides, padding, dilation, groups):
    return convolution(x, kernel, strides=strides, padding=padding, dilation=dilation, groups=groups)


def value_and_gradients(function, x, kernel, dy):
    y, back = jax.vjp(function, x, kernel)
    return y, *back(dy)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_convolution_and_its_gradients_are_those_of_lax_in_float64(geometry, dtype):
    shape, kernel_shape, *where = geometry
    x, kernel = jnp.asarray(random(*shape), dtype), random(*kernel_shape, seed=1)
    rounded = np.asarray(jnp.asarray(kernel, dtype), np.float64)
    dy = jnp.asarray(
        random(*jax.eval_shape(lambda x, k: reference(x, k, *where), x, rounded.astype(dtype)).shape), dtype
    )
    given = jax.jit(lambda *of: value_and_gradients(lambda x, k: ours(x, k, *where), *of))(x, kernel, dy)
    assert [array.dtype for array in given] == [dtype, dtype, "float32"]
    with jax.enable_x64(True):
        of = (np.asarray(array, np.float64) for array in (x, rounded, dy))
        expected = value_and_gradients(lambda x, k: reference(x, k, *where), *of)
    for one, other, close in zip(given, expected, (CLOSE[dtype], CLOSE[dtype], 1e-5), strict=True):
        assert_near(one, other, close)


@pytest.mark.parametrize("name", ["3x3", "1x1, stride 2", "strides 2 and 3", "dilated, stride 2"])
def test_convolution_has_a_second_derivative(name):
    shape, kernel_shape, *where = GEOMETRIES[name]
    x, kernel = random(*shape), random(*kernel_shape, seed=1)

    def of_gradients(function):
        """A number made of the gradients of a function that bends."""
        by_both = jax.grad(lambda x, k: jnp.sum(jnp.tanh(function(x, k, *where))), (0, 1))
        return lambda x, k: sum(jnp.sum(jnp.square(part)) for part in by_both(x, k))

    given = jax.jit(jax.grad(of_gradients(ours), (0, 1)))(x, kernel)
    with jax.enable_x64(True):
        wide = x.astype(np.float64), kernel.astype(np.float64)
        expected = jax.jit(jax.grad(of_gradients(reference), (0, 1)))(*wide)
    for one, other in zip(given, expected, strict=True):
        assert_near(one, other, 1e-4)


@pytest.mark.parametrize("name", ["3x3", "1x1", "depthwise"])
def test_a_mapped_convolution_and_its_gradient_are_those_of_the_parts(name):
    shape, kernel_shape, *where = GEOMETRIES[name]
    x, kernels = random(3, *shape), random(3, *kernel_shape, seed=1)

    def gradient(x, kernel):
        return jax.grad(lambda *of: jnp.sum(jnp.sin(ours(*of, *where))), (0, 1))(x, kernel)

    given = jax.vmap(gradient)(x, kernels)
    for number in range(3):
        for one, other in zip(given, gradient(x[number], kernels[number]), strict=True):
            assert_near(one[number], other, 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 1, 1), (0, 4, 3)])
def test_matrix_product_and_its_gradients_are_those_of_numpy(shape, dtype):
    n, k, f = shape
    x, kernel, dy = jnp.asarray(random(n, k), dtype), random(k, f, seed=1), jnp.asarray(random(n, f, seed=2), dtype)
    y, dx, dkernel = value_and_gradients(matrix_product, x, kernel, dy)
    assert (y.dtype, dx.dtype, dkernel.dtype) == (dtype, dtype, "float32")
    x, dy = np.asarray(x, np.float64), np.asarray(dy, np.float64)
    rounded = np.asarray(jnp.asarray(kernel, dtype), np.float64)
    assert_near(y, x @ rounded, CLOSE[dtype])
    assert_near(dx, dy @ rounded.T, CLOSE[dtype])
    assert_near(dkernel, x.T @ dy, 1e-5)


def test_matrix_product_has_a_second_derivative():
    check_grads(lambda *of: jnp.tanh(matrix_product(*of)), (random(3, 4), random(4, 2)), 2, ["rev"], 2e-2, 2e-2, 1e-2)


POOLS = {
    "2/2": ((2, 6, 8, 3), 2, 2, NONE),
    "3/2": ((2, 7, 9, 3), 3, 2, NONE),
    "3/2, padded": ((2, 8, 7, 3), 3, 2, ONE),
    "3/2, ceil": ((2, 8, 6, 3), 3, 2, ((0, 1), (0, 1))),
    "3/1": ((2, 5, 6, 3), 3, 1, ONE),
    "2/3": ((2, 9, 8, 2), 2, 3, NONE),
    "1/1": ((2, 3, 3, 2), 1, 1, NONE),
    "rest left over": ((1, 8, 8, 2), 3, 3, NONE),
    "one pixel": ((2, 1, 1, 3), 3, 2, ONE),
    "17/4": ((1, 21, 21, 1), 17, 4, NONE),
    "asymmetric": ((1, 6, 5, 2), 3, 2, ((2, 0), (1, 1))),
    "empty batch": ((0, 6, 6, 2), 2, 2, NONE),
}


def xla_pool(x, size, stride, padding):
    sides = ((0, 0), *padding, (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), sides)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS.keys())
def test_max_pool_and_its_gradient_are_those_of_reduce_window(pool, ties, dtype):
    shape, *where = pool
    x = random(*shape)
    x = jnp.asarray(np.maximum(np.round(x), 0) if ties else x, dtype)
    expected, expected_back = jax.vjp(lambda x: xla_pool(x, *where), x)
    given, back = jax.vjp(lambda x: max_pool(x, *where), x)
    assert given.dtype == dtype and np.array_equal(given, expected)
    assert np.array_equal(max_pool(x, *where), expected)
    # Small whole numbers, whose sums are exact in any order.
    dy = jnp.round(4 * random(*given.shape, seed=1)).astype(dtype)
    assert np.array_equal(back(dy)[0], expected_back(dy)[0])


def test_a_nan_comes_through_max_pool():
    x = random(1, 6, 6, 2)
    x[0, 2, 3, 0] = np.nan
    for result in (max_pool(x, 3, 2, ONE), jax.vjp(lambda x: max_pool(x, 3, 2, ONE), x)[0]):
        assert np.array_equal(result, xla_pool(x, 3, 2, ONE), equal_nan=True)
        assert np.isnan(result).sum() == 2


def test_max_pool_has_a_second_derivative():
    def of_gradient(pool):
        slope = jax.grad(lambda x: jnp.sum(pool(jnp.sin(x), 3, 2, ONE) ** 3))
        return jax.grad(lambda x: jnp.sum(slope(x) ** 2))

    x = random(1, 5, 5, 2)
    assert_near(of_gradient(max_pool)(x), of_gradient(xla_pool)(x), 1e-5)


def test_a_mapped_max_pool_and_its_gradient_are_those_of_the_parts():
    x = random(3, 1, 5, 5, 2)
    gradient = jax.grad(lambda x: jnp.sum(max_pool(x, 2, 2, NONE) ** 2))
    assert np.array_equal(jax.vmap(gradient)(x), np.stack([gradient(part) for part in x]))


@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (1000, 0.1), (-3, 100)])
@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (64, 32, 32, 2), (1, 1, 1, 3), (7, 3)])
def test_moments_are_exact_even_where_the_mean_is_large_against_the_deviation(shape, mean, deviation):
    x = mean + deviation * random(*shape)
    axes = tuple(range(len(shape) - 1))
    given_mean, given_variance = jax.jit(batch_norm.moments)(x)
    assert given_mean.dtype == given_variance.dtype == jnp.float32
    np.testing.assert_allclose(given_mean, x.mean(axes, np.float64), rtol=1e-6, atol=1e-6 * deviation)
    np.testing.assert_allclose(given_variance, x.var(axes, np.float64), rtol=1e-3, atol=1e-8)


def test_moments_of_bfloat16_are_in_float32():
    x = jnp.asarray(5 + random(8, 16, 16, 3), jnp.bfloat16)
    mean, variance = batch_norm.moments(x)
    wide = np.asarray(x, np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, wide.var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_normalize_is_the_formula(relu, residual, dtype):
    x, other = jnp.asarray(random(3, 4, 5, 2), dtype), jnp.asarray(random(3, 4, 5, 2, seed=1), dtype)
    mean, variance, scale, bias = random(2), np.square(random(2, seed=1)), random(2, seed=2), random(2, seed=3)
    given = batch_norm.normalize(x, mean, variance, scale, bias, other if residual else None, epsilon=1e-3, relu=relu)
    expected = (np.asarray(x, np.float64) - mean) / np.sqrt(variance + 1e-3) * scale + bias
    expected = expected + np.asarray(other, np.float64) * residual
    assert given.dtype == dtype
    assert_near(given, np.maximum(expected, 0) if relu else expected, CLOSE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("relu", [False, True])
def test_gradient_sums_and_gradient_are_their_formulas(relu, dtype):
    x, y, dy = (jnp.asarray(random(3, 4, 5, 2, seed=seed), dtype) for seed in range(3))
    mean, factor, slope, offset = (random(2, seed=seed) for seed in range(4))
    sums = batch_norm.gradient_sums(dy, x, y, mean, relu=relu)
    dx, passed = batch_norm.gradient(dy, x, y, mean, factor, slope, offset, relu=relu, residual=True)
    wide, centred = np.asarray(dy, np.float64), np.asarray(x, np.float64) - mean
    wide = wide * (np.asarray(y, np.float32) > 0) if relu else wide
    assert_near(sums[0], wide.sum((0, 1, 2)), 1e-5)
    assert_near(sums[1], (wide * centred).sum((0, 1, 2)), 1e-5)
    assert dx.dtype == passed.dtype == dtype
    assert_near(dx, factor * wide + slope * centred + offset, CLOSE[dtype])
    assert_near(passed, wide, 1e-9)
    assert batch_norm.gradient(dy, x, y, mean, factor, slope, offset, relu=relu, residual=False)[1] is None


def test_what_is_apart_is_computed_once_and_not_again_in_what_reads_it():
    def step(x):
        y = apart(lambda x: jnp.where(x > 0, x, 2 * x), x)
        return y.T + 1

    text = jax.jit(step).lower(random(64, 64)).compile().as_text()
    assert "conditional(" in text
    for x in (random(64, 64), -np.zeros((3, 2), np.float32), np.full((2, 2), np.nan, np.float32), random(0, 3)):
        assert np.array_equal(jax.jit(step)(x), np.where(x > 0, x, 2 * x).T + 1, equal_nan=True)


def test_the_compiler_options_leave_reductions_to_the_library_and_convolutions_to_xla():
    def step(x, kernel):
        y = convolution(x, kernel, strides=(1, 1), padding=ONE)
        return y, batch_norm.moments(y)

    compiled = (
        jax.jit(step, compiler_options=COMPILER_OPTIONS).lower(random(8, 32, 32, 32), random(3, 3, 32, 32)).compile()
    )
    text = compiled.as_text()
    assert " convolution(" in text[text.index("ENTRY") :]
    assert " ynn_fusion" in text or "%ynn_fusion" in text


def test_the_compiler_options_are_those_of_the_pure_kernels_alone():
    for choice, expected in (("xla", COMPILER_OPTIONS), ("plain", {})):
        with kernels.use(choice):
            assert kernels.compiler_options() == expected


def test_options_that_the_compiler_does_not_take_are_left_out(monkeypatch):
    monkeypatch.setattr(compiler_options, "COMPILER_OPTIONS", {"xla_cpu_of_another_jaxlib": "1"})
    assert compiler_options.known_options.__wrapped__() == {}
