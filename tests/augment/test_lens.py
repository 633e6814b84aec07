"""Lens distortion, against the formula in NumPy and SciPy's interpolation."""

import functools
from typing import Any

import jax
import numpy as np
import pytest
from drawn_examples import HEIGHT, WIDTH, painted, under_keys
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import kstest

from convnets.augment.lens import Lens, distort, lens_distortion

jitted_distort = jax.jit(distort, static_argnames="border")


def source(y: np.ndarray, x: np.ndarray, k1: float, k2: float) -> tuple[np.ndarray, np.ndarray]:
    """In complex numbers, with double precision."""
    centre, half = (HEIGHT + 1j * WIDTH) / 2, np.hypot(HEIGHT, WIDTH) / 2
    ray = (y + 1j * x - centre) / half
    place = centre + half * ray * (1 + k1 * abs(ray) ** 2 + k2 * abs(ray) ** 4)
    return place.real, place.imag


@pytest.mark.parametrize(("border", "mode"), [("zero", "grid-constant"), ("edge", "nearest"), ("reflect", "reflect")])
@pytest.mark.parametrize(("k1", "k2"), [(0.25, 0.0), (-0.25, 0.0), (0.1, -0.1)])
def test_an_image_is_read_where_the_polynomial_says(k1, k2, border, mode):
    example = painted()
    y, x = source(*(np.mgrid[:HEIGHT, :WIDTH] + 0.5), k1, k2)
    expected = ndimage.map_coordinates(example["image"][..., 0], [y - 0.5, x - 0.5], order=1, mode=mode)
    result = jitted_distort(example, (k1, k2), border=border)
    np.testing.assert_allclose(result["image"][..., 0], expected, atol=1e-4)


@functools.partial(jax.jit, static_argnums=(0, 1))
def there_and_back(height: int, width: int, k1: float, k2: float, y: jax.Array, x: jax.Array) -> Any:
    lens = Lens(k1, k2, height, width)
    return lens.distorted(*lens.undistorted(y, x)), lens.undistorted(*lens.distorted(y, x))


@settings(max_examples=60, deadline=None)
@given(st.floats(-0.3, 0.3), st.floats(-1, 1), st.integers(0, 2**31))
def test_distorted_and_undistorted_are_each_others_inverse(k1, share, seed):
    k2 = share * (0.95 - 3 * abs(k1)) / 5
    y, x = np.random.default_rng(seed).uniform(size=(2, 200)).astype(np.float32) * [[HEIGHT], [WIDTH]]
    back, _ = there_and_back(HEIGHT, WIDTH, k1, k2, y, x)
    np.testing.assert_allclose(back, [y, x], atol=0.02)


def test_the_centre_and_points_far_outside_have_a_finite_place():
    y, x = np.float32([HEIGHT / 2, 1e4]), np.float32([WIDTH / 2, -1e4])
    (there, _), _ = there_and_back(HEIGHT, WIDTH, -0.3, 0.0, y, x)
    assert np.isfinite(there).all() and there[0] == HEIGHT / 2


def test_a_bent_box_is_wider_than_its_corners():
    example = painted() | {"boxes": np.float32([[4, 4, HEIGHT - 4, WIDTH - 4]])}
    mask = np.zeros((HEIGHT, WIDTH), np.int32)
    mask[4:-4, 4:-4] = 1
    result = jitted_distort(example | {"mask": mask}, (0.3, 0.0))
    rows, columns = np.nonzero(np.asarray(result["mask"]) == 1)
    tight = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    np.testing.assert_allclose(result["boxes"][0], tight, atol=0.51)
    corner, _ = Lens(0.3, 0.0, HEIGHT, WIDTH).distorted(np.float32(4), np.float32(4))
    assert result["boxes"][0, 0] < corner - 0.5


def test_without_distortion_every_bit_stays():
    result = jax.jit(lambda key: lens_distortion(key, painted(), k1=0.0))(jax.random.key(0))
    for field, value in painted().items():
        np.testing.assert_array_equal(result[field], value)


def test_coefficients_are_uniform_both_ways():
    """Read back from where the corner of a box goes."""
    example = {"image": np.zeros((HEIGHT, WIDTH, 1), np.float32), "boxes": np.float32([[10, 10, 24, 20]])}
    boxes = under_keys(lens_distortion, example, 1500, k1=0.2)["boxes"][:, 0]
    down, right = boxes[:, :2].T.astype(float) - np.array([[HEIGHT / 2], [WIDTH / 2]])
    half = np.hypot(HEIGHT, WIDTH) / 2
    # The extreme of a side may lie beside its corner; not so for the rows of an off-centre box under a pincushion.
    pincushion = down < 10 - HEIGHT / 2
    assert 0.4 < pincushion.mean() < 0.6
    radius = np.hypot(down, right)[pincushion] / half
    before = np.hypot(10 - HEIGHT / 2, 10 - WIDTH / 2) / half
    k1 = (before / radius - 1) / radius**2
    assert -0.201 < k1.min() < -0.19 and k1.max() < 0
    assert kstest(k1, "uniform", (-0.2, 0.2)).pvalue > 1e-3
