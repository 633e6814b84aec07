"""Compiled convolutions and their gradients against NumPy in float64, and transposed ones against PyTorch."""

from typing import Any, NamedTuple

import float64 as exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64 import Window, assert_rounded, numbers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convnets.kernels import library
from convnets.layers import implementation
from convnets.layers.convolution import convolution
from convnets.layers.transposed_convolution import COARSE, transposed_convolution

pytestmark = pytest.mark.usefixtures("onednn")


class Problem(NamedTuple):
    """A convolution of maps `[N, H, W, C]` by a kernel `[h, w, C / groups, F]`, and what follows it."""

    maps: tuple[int, int, int, int]
    kernel: tuple[int, int, int, int]
    window: Window = Window()
    types: tuple[str, str] = ("float32", "float32")
    bias: bool = False
    residual: bool = False
    relu: bool = False


@st.composite
def problems(draw: Any, types: tuple[str, str]) -> Problem:
    size = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    pixels = st.integers(0, 3)
    padding = tuple((draw(pixels), draw(pixels)) for _ in range(2))
    dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    smallest = [max(1, (size[i] - 1) * dilation[i] + 1 - sum(padding[i])) for i in (0, 1)]
    sides = [draw(st.integers(least, max(least, 12))) for least in smallest]
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 5, 16]))
    channels, features = (groups * draw(st.integers(1, 20 // groups)) for _ in range(2))
    window = Window((draw(st.integers(1, 4)), draw(st.integers(1, 4))), padding, dilation, groups)
    return Problem(
        (draw(st.integers(1, 3)), *sides, channels),
        (*size, channels // groups, features),
        window,
        types,
        *(draw(st.booleans()) for _ in range(3)),
    )


def arrays_of(problem: Problem) -> dict[str, np.ndarray]:
    """Random, in the problem's types; a bias is float32."""
    random = np.random.default_rng(0)
    shape = (
        problem.maps[0],
        *problem.window.result(problem.maps[1:3], problem.kernel[:2]),
        problem.kernel[3],
    )
    shapes = {"x": problem.maps, "kernel": problem.kernel, "dy": shape}
    shapes |= {"bias": shape[-1:]} if problem.bias else {}
    shapes |= {"residual": shape} if problem.residual else {}
    types = dict.fromkeys(shapes, problem.types[0]) | {"kernel": problem.types[1], "bias": "float32"}
    return {
        name: random.normal(size=shape).astype(np.float32).astype(jnp.dtype(types[name]))
        for name, shape in shapes.items()
    }


def value_and_gradients(arrays: dict[str, Any], window: Window, relu: bool, choice: str = "direct") -> Any:
    """The result, and the gradient to each array but `dy`, which is the gradient to the result."""

    def both(arrays: dict[str, Any], dy: Any) -> Any:
        y, back = jax.vjp(lambda arrays: convolution(**arrays, **window.options(), relu=relu), arrays)
        return y, back(dy)[0]

    arrays = dict(arrays)
    with implementation.use(choice):
        return jax.jit(both)(arrays, arrays.pop("dy"))


def assert_right(problem: Problem) -> None:
    arrays = arrays_of(problem)
    y, gradients = value_and_gradients(arrays, problem.window, problem.relu)
    given_types = {name: array.dtype for name, array in arrays.items() if name != "dy"}
    assert y.dtype == problem.types[0] and {n: g.dtype for n, g in gradients.items()} == given_types

    window = problem.window
    # In a lower precision that the processor multiplies the kernel takes part rounded.
    kernel = numbers(arrays["kernel"].astype(arrays["x"].dtype if library.multiplies_bfloat16() else "float32"))
    x, bias, residual = (numbers(arrays.get(name, 0)) for name in ("x", "bias", "residual"))
    right = exact.convolution(x, kernel, window) + bias + residual
    terms = exact.convolution(np.abs(x), np.abs(kernel), window) + np.abs(bias) + np.abs(residual)
    assert_rounded(y, np.maximum(right, 0) if problem.relu else right, terms, "y")

    # Which side of its corner the ReLU is on is up to the rounding of the kernel's own result.
    dy = numbers(arrays["dy"]) * ((numbers(y) > 0) if problem.relu else 1)
    for name, gradient in (
        ("x", lambda x, kernel, dy: exact.convolution_input_gradient(dy, kernel, window, x.shape)),
        ("kernel", lambda x, kernel, dy: exact.convolution_kernel_gradient(x, dy, window, kernel.shape)),
        ("bias", lambda x, kernel, dy: dy.sum((0, 1, 2))),
        ("residual", lambda x, kernel, dy: dy),
    ):
        if name in gradients:
            terms = gradient(*map(np.abs, (x, kernel, dy)))
            assert_rounded(gradients[name], gradient(x, kernel, dy), terms, f"the gradient to {name}")


SYMMETRIC = ((1, 1), (1, 1))
ONE_SIDED = ((3, 0), (0, 2))
UNEVEN = Window((2, 3), ONE_SIDED, (2, 1), 2)
AWKWARD = [
    Problem((1, 1, 1, 1), (1, 1, 1, 1)),
    Problem((3, 1, 1, 20), (1, 1, 20, 17), bias=True, residual=True, relu=True),
    Problem((2, 9, 12, 3), (2, 2, 3, 5), Window((4, 3))),
    Problem((2, 5, 6, 7), (1, 1, 7, 3), Window((4, 4), ONE_SIDED), bias=True, relu=True),
    Problem((2, 7, 4, 6), (3, 5, 3, 8), UNEVEN, bias=True, residual=True, relu=True),
    Problem((2, 3, 3, 16), (3, 3, 1, 16), Window(padding=SYMMETRIC, groups=16), residual=True),
    Problem((1, 2, 2, 4), (7, 7, 4, 3), Window(padding=((3, 3), (3, 2)))),
]
LARGE = [
    # More than one thread's worth of work, in each of the passes.
    Problem((5, 23, 24, 16), (3, 3, 16, 32), Window(padding=SYMMETRIC), bias=True, residual=True, relu=True),
    Problem((3, 32, 31, 3), (7, 7, 3, 64), Window((2, 2), ((3, 3), (3, 3))), bias=True, relu=True),
    Problem((3, 14, 15, 64), (1, 1, 64, 48), Window((2, 2)), residual=True, relu=True),
]


@pytest.mark.parametrize("types", [("float32", "float32"), ("bfloat16", "float32"), ("bfloat16", "bfloat16")])
@pytest.mark.parametrize("problem", [*AWKWARD, *LARGE])
def test_awkward_and_large_maps_are_right_in_each_type(problem, types):
    assert_right(problem._replace(types=types))


@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(problems(("float32", "float32")))
def test_values_and_gradients_are_those_of_float64(problem):
    assert_right(problem)


@settings(max_examples=20, derandomize=True, deadline=None, database=None)
@given(st.sampled_from(["float32", "bfloat16"]).flatmap(lambda kernel: problems(("bfloat16", kernel))))
@example(AWKWARD[4]._replace(types=("bfloat16", "float32")))
def test_bfloat16_is_rounded_once_at_the_end(problem):
    assert_right(problem)


def test_bfloat16_is_right_on_processors_that_do_not_multiply_it(monkeypatch):
    monkeypatch.setattr(library, "multiplies_bfloat16", lambda: False)
    assert_right(AWKWARD[4]._replace(types=("bfloat16", "bfloat16")))
    assert_right(AWKWARD[4]._replace(types=("bfloat16", "float32")))


def test_a_residual_or_bias_of_another_type_is_added_in_the_type_of_the_maps():
    problem = Problem((2, 6, 5, 3), (3, 3, 3, 4), types=("bfloat16", "float32"), bias=True, residual=True)
    arrays = arrays_of(problem)
    mixed = arrays | {"residual": arrays["residual"].astype(np.float32), "bias": arrays["bias"].astype(jnp.bfloat16)}
    same = arrays | {"bias": mixed["bias"].astype(np.float32)}
    for choice in ("direct", "xla"):
        y, gradients = value_and_gradients(mixed, problem.window, True, choice)
        expected, expected_gradients = value_and_gradients(same, problem.window, True, choice)
        assert y.dtype == jnp.bfloat16, choice
        np.testing.assert_array_equal(numbers(y), numbers(expected))
        assert {name: gradient.dtype for name, gradient in gradients.items()} == {
            "x": jnp.bfloat16,
            "kernel": jnp.float32,
            "bias": jnp.bfloat16,
            "residual": jnp.float32,
        }
        np.testing.assert_array_equal(numbers(gradients["residual"]), numbers(expected_gradients["residual"]))


def test_what_is_not_a_number_stays_so_through_the_relu():
    problem = Problem((1, 4, 4, 2), (3, 3, 2, 3), Window(padding=SYMMETRIC), bias=True, relu=True)
    arrays = arrays_of(problem)
    arrays["x"][0, 0, 0, 0] = np.nan
    y, _ = value_and_gradients(arrays, problem.window, relu=True)
    assert np.isnan(y[0, :2, :2]).all(), "a run that diverges must be seen"
    assert np.isfinite(y[0, 2:, 2:]).all()


@pytest.mark.parametrize("choice", ["direct", "xla"])
def test_a_factor_scales_a_kernel_in_the_lower_type_too(choice):
    x, kernel = jnp.ones((2, 6, 6, 4), jnp.bfloat16), jnp.ones((3, 3, 4, 8), jnp.bfloat16)
    with implementation.use(choice):
        slopes = jax.grad(lambda k, f: convolution(x, k, factor=f).astype(jnp.float32).sum(), (0, 1))(
            kernel, 2 * jnp.ones(8)
        )
    assert [slope.dtype for slope in slopes] == [jnp.bfloat16, jnp.float32]
    np.testing.assert_array_equal(numbers(slopes[0]), 2 * 2 * 16)
    np.testing.assert_array_equal(numbers(slopes[1]), 2 * 16 * 36)


@pytest.mark.parametrize("choice", ["direct", "onednn", "xla", "plain"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_factor_of_each_filter_comes_before_bias_and_residual(dtype, choice):
    problem = Problem(
        (4, 12, 12, 32), (3, 3, 32, 64), Window(padding=SYMMETRIC), (dtype, "float32"), bias=True, residual=True
    )
    arrays = arrays_of(problem)
    dy = arrays.pop("dy")
    arrays["factor"] = np.random.default_rng(1).normal(size=64).astype(np.float32)

    def rectified(arrays: Any) -> Any:
        return convolution(**arrays, **problem.window.options(), relu=True)

    with implementation.use(choice):
        y = jax.jit(rectified)(arrays)
        gradients = jax.jit(lambda arrays: jax.vjp(rectified, arrays)[1](dy)[0])(arrays)
    x, kernel, factor, bias, residual = (numbers(arrays[n]) for n in ("x", "kernel", "factor", "bias", "residual"))
    responses = exact.convolution(x, kernel, problem.window)
    right = np.maximum(factor * responses + bias + residual, 0)
    loose = np.abs(responses).max() * (1e-5 if dtype == "float32" else 2e-2)
    np.testing.assert_allclose(numbers(y), right, rtol=loose, atol=loose)
    passed = numbers(dy) * (right > 0)
    for name, expected in (
        ("factor", (passed * responses).sum((0, 1, 2))),
        ("bias", passed.sum((0, 1, 2))),
        ("kernel", factor * exact.convolution_kernel_gradient(x, passed, problem.window, kernel.shape)),
        ("x", exact.convolution_input_gradient(passed, kernel * factor, problem.window, x.shape)),
    ):
        error = np.linalg.norm(numbers(gradients[name]) - expected) / np.linalg.norm(expected)
        assert error < (1e-5 if dtype == "float32" else 1e-1), name


def test_convolutions_of_the_same_shapes_are_told_apart():
    """What is compiled for one is used again for its like, and for nothing else."""
    problem = Problem((2, 5, 5, 4), (2, 2, 4, 4), Window(padding=((1, 0), (0, 1))))
    others = [
        problem,
        problem._replace(window=Window(padding=((0, 1), (0, 1)))),
        problem._replace(window=Window(padding=((1, 0), (1, 0)))),
        problem._replace(kernel=(2, 2, 2, 4), window=Window(padding=((1, 0), (0, 1)), groups=2)),
        problem._replace(maps=(2, 3, 3, 4), window=Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
        problem._replace(maps=(2, 3, 3, 4), window=Window((1, 1), ((1, 1), (1, 1)), (2, 2))),
        problem._replace(relu=True),
        problem._replace(bias=True),
        problem._replace(residual=True),
        problem._replace(residual=True, relu=True),
        problem._replace(types=("bfloat16", "float32")),
        problem._replace(types=("bfloat16", "bfloat16")),
        problem,
    ]
    for other in others:
        assert_right(other)


FALLING_BACK = {
    "no images": Problem((0, 5, 5, 3), (3, 3, 3, 4), bias=True, relu=True),
    "no channels": Problem((2, 5, 5, 0), (3, 3, 0, 4), bias=True),
    "no filters": Problem((2, 5, 5, 3), (3, 3, 3, 0)),
    "no rows": Problem((2, 2, 5, 3), (3, 3, 3, 4), bias=True, residual=True),
    "float16": Problem((2, 5, 5, 3), (3, 3, 3, 4), types=("float16", "float32")),
    "a kernel in the lower type": Problem((2, 5, 5, 3), (3, 3, 3, 4), types=("float32", "bfloat16")),
    "a crop": Problem((2, 6, 7, 3), (3, 3, 3, 4), Window((2, 1), ((-1, 1), (0, -2))), bias=True),
}


@pytest.mark.parametrize("problem", FALLING_BACK.values(), ids=FALLING_BACK)
def test_what_is_not_compiled_is_computed_by_jax(problem):
    arrays = arrays_of(problem)
    given, expected = (
        value_and_gradients(arrays, problem.window, problem.relu, choice) for choice in ("onednn", "plain")
    )
    loose = {"rtol": 2e-2, "atol": 2e-2} if "16" in "".join(problem.types) else {"rtol": 1e-5, "atol": 1e-5}
    for one, other in zip(*map(jax.tree.leaves, (given, expected)), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(numbers(one), numbers(other), **loose)


def test_a_crop_leaves_out_the_pixels_at_that_side():
    x = np.arange(2.0 * 5 * 4, dtype=np.float32).reshape(2, 5, 4, 1)
    with implementation.use("onednn"):
        y = convolution(x, np.ones((1, 1, 1, 1), np.float32), padding=((-1, 0), (0, -2)))
    np.testing.assert_array_equal(y, x[:, 1:, :2])


def test_float64_is_computed_in_float64():
    with jax.enable_x64(True), implementation.use("onednn"):
        x, kernel = (np.random.default_rng(0).normal(size=shape) for shape in ((2, 5, 6, 3), (3, 3, 3, 4)))
        y = convolution(x, kernel, padding=1)
        assert y.dtype == jnp.float64
        right = exact.convolution(x, kernel, Window(padding=SYMMETRIC))
        np.testing.assert_allclose(y, right, rtol=1e-12, atol=1e-12)


TRANSPOSED = [
    # The maps of the convolution, its kernel [h, w, F, C] and its window.
    ((2, 8, 9, 4), (3, 2, 4, 5), Window((2, 3), ((1, 0), (2, 1)), (1, 2))),
    ((1, 1, 1, 1), (1, 1, 1, 1), Window()),
    ((2, 8, 10, 3), (4, 4, 3, 6), Window((2, 2), ((1, 1), (1, 1)))),
    ((1, 11, 7, 4), (2, 2, 4, 4), Window((4, 4))),
    ((2, 7, 7, 32), (3, 3, 32, 16), Window(padding=((1, 1), (1, 1)))),
    # By phases, with and without pixels that only the output padding adds.
    ((2, 48, 31, 2), (32, 31, 2, 3), Window((16, 16), ((8, 8), (8, 8)))),
    ((1, 31, 53, 3), (16, 9, 3, 4), Window((16, 17), ((3, 3), (3, 3)))),
    ((1, 69, 40, 2), (40, 3, 2, 3), Window((16, 32), ((1, 1), (1, 1)))),
]


@pytest.mark.parametrize("choice", ["direct", "onednn", "xla"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("shape", "kernel", "window"), TRANSPOSED)
def test_a_transposed_convolution_is_the_linear_transpose_in_float64(shape, kernel, window, dtype, choice):
    random = np.random.default_rng(0)
    kernel = random.normal(size=kernel).astype(np.float32).astype(jnp.dtype(dtype))
    size = window.result(shape[1:3], kernel.shape[:2])
    x = random.normal(size=(shape[0], *size, kernel.shape[3])).astype(np.float32).astype(jnp.dtype(dtype))
    extra = tuple(
        (shape[1 + i] + sum(window.padding[i]) - (kernel.shape[i] - 1) * window.dilation[i] - 1) % window.strides[i]
        for i in (0, 1)
    )
    options = {"stride": window.strides, "padding": window.padding, "dilation": window.dilation}
    with implementation.use(choice):
        y, back = jax.vjp(jax.jit(lambda *a: transposed_convolution(*a, output_padding=extra, **options)), x, kernel)
        dy = random.normal(size=shape).astype(np.float32).astype(jnp.dtype(dtype))
        to_x, to_kernel = back(dy)
    assert y.shape == shape and y.dtype == to_x.dtype == to_kernel.dtype == dtype
    if dtype == "bfloat16" and (choice == "xla" or min(window.strides) >= COARSE):
        return  # XLA sums bfloat16 maps in its own way, and phases are rounded before they are added.
    x, kernel, dy = map(numbers, (x, kernel, dy))
    for name, array, by_definition, first, second, last in (
        ("y", y, exact.convolution_input_gradient, x, kernel, (window, shape)),
        ("the gradient to x", to_x, exact.convolution, dy, kernel, (window,)),
        ("the gradient to the kernel", to_kernel, exact.convolution_kernel_gradient, dy, x, (window, kernel.shape)),
    ):
        terms = by_definition(np.abs(first), np.abs(second), *last)
        # Minimal filtering rounds by the largest of a tile.
        terms = terms + terms.max() * (choice == "onednn")
        assert_rounded(array, by_definition(first, second, *last), terms, name)
