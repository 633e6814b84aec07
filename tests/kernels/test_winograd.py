"""Convolutions by Winograd's minimal filtering, and their gradients, against NumPy in float64."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import float64 as exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64 import UNIT, Window, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from test_convolution_kernel import Problem, arrays_of, value_and_gradients

from convnets.kernels import convolutions
from convnets.layers import implementation
from convnets.layers.convolution import convolution, window
from convnets.layers.geometry import geometry

pytestmark = pytest.mark.usefixtures("onednn")

ERRORS = {6: 40, 9: 400}
"""Largest error in units of float32's rounding, of a map whose largest sum of its terms' sizes is 1."""

NARROW = ("bfloat16", "float32")
KINDS = [(6, ("float32", "float32")), (6, NARROW), (9, NARROW)]


@contextmanager
def always(points: int) -> Iterator[None]:
    """Within it, every convolution that can be is computed at so many points."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolutions, "points", lambda *_: points)
        yield


def assert_near(given: Any, right: Any, terms: Any, points: int, name: str) -> None:
    assert given.shape == right.shape, f"{name}: {given.shape} is not {right.shape}"
    rounding = 1.01 * UNIT[jnp.dtype(given.dtype).name] * np.abs(right)
    excess = np.abs(numbers(given) - right) - rounding - ERRORS[points] * UNIT["float32"] * terms.max()
    assert excess.max() <= 0, f"{name} is further from float64's by {excess.max()}, of {np.abs(right).max()}"


def assert_right(problem: Problem, points: int) -> None:
    arrays, window = arrays_of(problem), problem.window
    with always(points):
        y, gradients = value_and_gradients(arrays, window, problem.relu, "onednn")
    x, kernel, dy = (numbers(arrays[name]) for name in ("x", "kernel", "dy"))
    bias, residual = (numbers(arrays.get(name, 0)) for name in ("bias", "residual"))
    right = exact.convolution(x, kernel, window) + bias + residual
    terms = exact.convolution(np.abs(x), np.abs(kernel), window) + np.abs(bias) + np.abs(residual)
    assert_near(y, np.maximum(right, 0) if problem.relu else right, terms, points, "y")
    dy = dy * ((numbers(y) > 0) if problem.relu else 1)
    for name, gradient in (
        ("x", lambda x, kernel, dy: exact.convolution_input_gradient(dy, kernel, window, x.shape)),
        ("kernel", lambda x, kernel, dy: exact.convolution_kernel_gradient(x, dy, window, kernel.shape)),
    ):
        terms = gradient(*map(np.abs, (x, kernel, dy)))
        assert_near(gradients[name], gradient(x, kernel, dy), terms, points, f"the gradient to {name}")


@st.composite
def problems(draw: Any) -> Problem:
    side = draw(st.sampled_from([3, 5]))
    pixels = st.integers(0, side + 1)
    padding = tuple((draw(pixels), draw(pixels)) for _ in range(2))
    maps = [draw(st.integers(max(1, side - sum(padding[i])), 17)) for i in (0, 1)]
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, features = (groups * draw(st.integers(1, 36 // groups)) for _ in range(2))
    return Problem(
        (draw(st.integers(1, 3)), *maps, channels),
        (side, side, channels // groups, features),
        Window(padding=padding, groups=groups),
        ("float32", "float32"),
        *(draw(st.booleans()) for _ in range(3)),
    )


@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(problems(), st.sampled_from(KINDS))
def test_values_and_gradients_are_those_of_float64(problem, kind):
    points, types = kind
    assert_right(problem._replace(types=types), points)


ALL_SIDES = ((1, 1), (1, 1))
LARGE = {
    "one pixel": Problem((1, 1, 1, 16), (3, 3, 16, 16), Window(padding=ALL_SIDES)),
    "many tiles, in more than one block": Problem(
        (5, 60, 61, 16), (3, 3, 16, 24), Window(padding=ALL_SIDES), bias=True
    ),
    "many filters, few tiles": Problem((3, 7, 6, 130), (3, 3, 130, 140), Window(padding=ALL_SIDES), relu=True),
    "many of both": Problem((12, 14, 14, 100), (3, 3, 100, 90), Window(padding=ALL_SIDES), residual=True, relu=True),
    "of 5x5": Problem(
        (4, 27, 27, 48), (5, 5, 24, 64), Window(padding=((2, 2), (2, 2)), groups=2), bias=True, relu=True
    ),
}


@pytest.mark.parametrize(("points", "types"), KINDS)
@pytest.mark.parametrize("problem", LARGE.values(), ids=LARGE)
def test_large_maps_and_kernels_are_right(problem, points, types):
    assert_right(problem._replace(types=types), points)


def test_the_same_bits_come_again_on_any_number_of_threads(monkeypatch):
    problem = LARGE["many tiles, in more than one block"]
    arrays = arrays_of(problem)
    results = []
    for threads in (1, 2, 2, 3):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads * jax.local_device_count()))
        with always(6):
            results.append(value_and_gradients(arrays, problem.window, True, "onednn"))
    for result in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, result[1]["kernel"], results[0][1]["kernel"])
        np.testing.assert_array_equal(result[0], results[0][0])


@pytest.mark.parametrize(("points", "types"), KINDS)
def test_errors_are_as_small_as_they_are_said_to_be(points, types):
    """Of 64 channels after a ReLU, relative to the responses, and to the kernel's gradient, which is float32 always."""
    random = np.random.default_rng(0)
    x = np.maximum(random.normal(size=(4, 28, 28, 64)), 0).astype(jnp.dtype(types[0]))
    kernel = (random.normal(size=(3, 3, 64, 64)) / 17).astype(np.float32)
    dy = random.normal(size=x.shape).astype(x.dtype)
    window = Window(padding=ALL_SIDES)

    def errors(points: int) -> tuple[float, float]:
        with always(points):
            y, gradients = value_and_gradients({"x": x, "kernel": kernel, "dy": dy}, window, False, "onednn")
        rights = (
            exact.convolution(numbers(x), numbers(kernel), window),
            exact.convolution_kernel_gradient(numbers(x), numbers(dy), window, kernel.shape),
        )
        pairs = zip((y, gradients["kernel"]), rights, strict=True)
        return tuple(float(np.linalg.norm(numbers(given) - right) / np.linalg.norm(right)) for given, right in pairs)

    (found, of_kernel), (direct, _) = errors(points), errors(0)
    if types == NARROW:
        assert found < direct * 1.01
    else:
        assert direct < found < 1.2e-6
    assert of_kernel < (3e-5 if points == 9 else 1e-5)


def test_what_is_not_a_number_is_not_lost():
    problem = Problem((1, 9, 9, 4), (3, 3, 4, 5), Window(padding=ALL_SIDES), relu=True)
    arrays = arrays_of(problem)
    arrays["x"][0, 0, 0, 0] = np.nan
    with always(6):
        y, gradients = value_and_gradients(arrays, problem.window, True, "onednn")
    assert np.isnan(y[0, :2, :2]).all() and np.isfinite(y[0, 4:, 4:]).all()
    assert np.isnan(gradients["kernel"]).any()


CHOSEN = {
    "large maps": ((16, 56, 56, 64), (3, 3, 64, 64), {}, 6, 9),
    "groups": ((16, 27, 27, 96), (5, 5, 48, 256), {"padding": 2, "groups": 2}, 6, 9),
    "few channels": ((16, 32, 32, 3), (3, 3, 3, 64), {}, 0, 0),
    "one channel in each group": ((16, 28, 28, 64), (3, 3, 1, 64), {"groups": 64}, 0, 0),
    "another side": ((16, 28, 28, 64), (7, 7, 64, 64), {"padding": 3}, 0, 0),
    "not a square": ((16, 28, 28, 64), (3, 5, 64, 64), {}, 0, 0),
    "a stride": ((16, 28, 28, 64), (3, 3, 64, 64), {"stride": 2}, 0, 0),
    "dilation": ((16, 28, 28, 64), (3, 3, 64, 64), {"dilation": 2}, 0, 0),
    "one pixel": ((16, 1, 1, 512), (3, 3, 512, 512), {}, 0, 0),
}


@pytest.mark.parametrize(("maps", "kernel", "options", "wide", "narrow"), CHOSEN.values(), ids=CHOSEN)
def test_it_is_chosen_where_it_is_faster(monkeypatch, maps, kernel, options, wide, narrow):
    monkeypatch.setattr(convolutions, "multiplies_tiles", lambda: False)
    y = jax.eval_shape(lambda: convolution(jnp.zeros(maps), jnp.zeros(kernel), **({"padding": 1} | options))).shape
    where = geometry(**({"stride": 1, "padding": 1, "dilation": 1, "groups": 1} | options))
    with implementation.use("onednn"):
        where = window(where)
        found = [
            convolutions.points(maps, kernel, y, dtype, jnp.float32, where) for dtype in (jnp.float32, jnp.bfloat16)
        ]
        assert found == [wide, narrow]
        assert convolutions.points(maps, kernel, y, jnp.bfloat16, jnp.bfloat16, where) == 0, "a rounded kernel"
        monkeypatch.setattr(convolutions, "multiplies_tiles", lambda: True)
        assert convolutions.points(maps, kernel, y, jnp.bfloat16, jnp.float32, where) == 0
    with implementation.use("direct"):
        where = window(geometry(**({"stride": 1, "padding": 1, "dilation": 1, "groups": 1} | options)))
        assert convolutions.points(maps, kernel, y, jnp.float32, jnp.float32, where) == 0


def test_the_choice_decides_what_is_called():
    x, kernel = jnp.zeros((4, 28, 28, 64)), jnp.zeros((3, 3, 64, 64))

    def program(choice: str) -> str:
        with implementation.use(choice):
            return jax.jit(jax.grad(lambda *a: convolution(*a, padding=1).sum(), (0, 1))).lower(x, kernel).as_text()

    called = program("onednn")
    assert all(f"convnets_winograd_{which}" in called for which in ("input_gradient", "kernel_gradient"))
    assert "winograd" not in program("direct")
