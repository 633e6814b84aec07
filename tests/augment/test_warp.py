"""Warps, against SciPy and slices in NumPy."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from convnets.augment.motions import about_centre, chain, rotation, scaling, translation, warp_by
from convnets.augment.warp import warp

HEIGHT, WIDTH = 14, 11

IN_SCIPY = {"zero": "grid-constant", "edge": "nearest", "reflect": "reflect"}
"""What SciPy calls the borders: black pixels around, the outermost repeated, and `d c b a | a b c d | d c b a`."""


def scene(seed: int = 0, height: int = HEIGHT, width: int = WIDTH, channels: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "image": random.uniform(size=(height, width, channels)).astype(np.float32),
        "mask": random.integers(0, 21, (height, width)).astype(np.int32),
        "boxes": np.array([[2, 3, 9, 7], [0, 0, height, width]], np.float32),
        "label": np.int32(4),
    }


@functools.partial(jax.jit, static_argnames="border")
def jitted_warp(example: dict[str, jax.Array], matrix: jax.Array, *, border: str = "zero") -> dict[str, jax.Array]:
    return warp_by(example, matrix, border=border)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["zero", "edge", "reflect"]))
def test_image_and_mask_are_those_of_scipy(seed, border):
    """Any affine or projective motion, also those that bring a lot of the surroundings in."""
    random = np.random.default_rng(seed)
    given_scene = scene(seed)
    matrix = np.eye(3) + random.uniform(-0.4, 0.4, (3, 3))
    matrix[:2, 2] = random.uniform(-15, 15, 2)
    matrix[2] = [*random.uniform(-0.01, 0.01, 2), 1]
    result = jitted_warp(given_scene, matrix.astype(np.float32), border=border)

    back = np.linalg.inv(matrix)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    y, x, depth = np.einsum("ij,jhw->ihw", back / back[2, 2], np.stack([y, x, np.ones_like(y)]))
    before_horizon = depth > 0.2
    places = np.stack([y, x]) / np.where(before_horizon, depth, 1) - 0.5
    for channel in range(3):
        expected = ndimage.map_coordinates(
            given_scene["image"][..., channel].astype(np.float64), places, order=1, mode=IN_SCIPY[border]
        )
        np.testing.assert_allclose(result["image"][..., channel][before_horizon], expected[before_horizon], atol=1e-3)
    # Places between two pixels may be rounded to either.
    decided = before_horizon & (np.abs(places + 0.5 - np.round(places + 0.5)) > 1e-3).all(0)
    mask = ndimage.map_coordinates(given_scene["mask"], places, order=0, mode=IN_SCIPY[border], cval=255)
    np.testing.assert_array_equal(np.asarray(result["mask"])[decided], mask[decided])
    assert result["label"] == 4


@pytest.mark.parametrize("border", ["zero", "edge", "reflect"])
def test_without_motion_every_bit_stays(border):
    result = jitted_warp(scene(), np.eye(3, dtype=np.float32), border=border)
    for field, value in scene().items():
        np.testing.assert_array_equal(result[field], value)


def test_whole_pixels_are_shifted_and_what_comes_in_is_black_and_ignored():
    given_scene = scene()
    result = jitted_warp(given_scene, translation(3, -2))
    np.testing.assert_array_equal(result["image"][3:, :-2], given_scene["image"][:-3, 2:])
    np.testing.assert_array_equal(result["mask"][3:, :-2], given_scene["mask"][:-3, 2:])
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[3:, :-2] = False
    assert (np.asarray(result["image"])[outside] == 0).all()
    assert (np.asarray(result["mask"])[outside] == 255).all()
    np.testing.assert_array_equal(result["boxes"], [[5, 1, 12, 5], [3, 0, HEIGHT, WIDTH - 2]])


def test_a_quarter_turn_is_numpys():
    given_scene = scene(height=12, width=12)
    result = jitted_warp(given_scene, about_centre(rotation(90), 12, 12), border="edge")
    np.testing.assert_allclose(result["image"], np.rot90(given_scene["image"]), atol=1e-5)
    np.testing.assert_array_equal(result["mask"], np.rot90(given_scene["mask"]))
    np.testing.assert_allclose(result["boxes"], [[5, 2, 9, 9], [0, 0, 12, 12]], atol=1e-5)


def test_far_away_there_is_nothing_and_no_overflow():
    result = jitted_warp(scene(), translation(1e30, -1e30))
    assert (np.asarray(result["image"]) == 0).all() and (np.asarray(result["mask"]) == 255).all()
    np.testing.assert_array_equal(result["boxes"], 0)
    tiny = jitted_warp(scene(), about_centre(scaling(1e-9, 1e-9), HEIGHT, WIDTH), border="reflect")
    assert np.isfinite(tiny["image"]).all()


@pytest.mark.parametrize("border", ["edge", "reflect"])
def test_a_border_that_goes_on_leaves_nothing_black_or_ignored(border):
    example = scene() | {"image": np.full((HEIGHT, WIDTH, 3), 1, np.float32)}
    result = jitted_warp(example, chain(rotation(33), translation(20, 4)), border=border)
    image = np.asarray(result["image"])
    assert image.min() > 1 - 1e-6 and image.max() <= 1
    assert (np.asarray(result["mask"]) < 255).all()


def test_any_function_of_places_will_do():
    """Rows that slide to the right with the square of their height: a warp that is no matrix."""

    def lean(y, x, sign=1):
        return y, x + sign * y**2 / 40

    result = jax.jit(lambda example: warp(example, functools.partial(lean, sign=-1), lean))(scene())
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    expected = ndimage.map_coordinates(
        scene()["image"][..., 0], [y, x - (y + 0.5) ** 2 / 40], order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(result["image"][..., 0], expected, atol=1e-4)
    np.testing.assert_allclose(result["boxes"][0], [2, 3 + 4 / 40, 9, 7 + 81 / 40], atol=1e-4)
