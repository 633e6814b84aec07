"""Matrices of motions against NumPy's linear algebra, and each draw of a random motion read back from a box."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_examples import check_agreement, is_uniform, painted, under_keys
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.augment.motions import (
    about_centre,
    affine,
    chain,
    homography,
    inverse,
    moved,
    rotation,
    scaling,
    shearing,
    translation,
)


@pytest.mark.parametrize(
    ("matrix", "point", "place"),
    [
        (translation(3, -2), (10, 20), (13, 18)),
        (scaling(2, 0.5), (10, 20), (20, 10)),
        (shearing(45), (10, 20), (10, 30)),
        # A point to the right of the origin moves up, to negative y: counterclockwise, as one looks at it.
        (rotation(90), (0, 1), (-1, 0)),
        (rotation(-30), (0, 2), (1, 3**0.5)),
    ],
)
def test_a_motion_takes_a_point_to_its_place(matrix, point, place):
    np.testing.assert_allclose(moved(matrix, *map(jnp.float32, point)), place, atol=1e-5)


def test_the_first_of_a_chain_is_applied_first():
    point = jnp.float32(1), jnp.float32(2)
    assert np.allclose(moved(chain(translation(1, 1), scaling(10, 10)), *point), (20, 30))
    assert np.allclose(moved(chain(scaling(10, 10), translation(1, 1)), *point), (11, 21))
    np.testing.assert_array_equal(chain(), np.eye(3))


@pytest.mark.parametrize("matrix", [rotation(70), scaling(0.3, 4), shearing(40)], ids=["turn", "scale", "shear"])
def test_about_the_centre_the_centre_stays(matrix):
    np.testing.assert_allclose(moved(about_centre(matrix, 12, 7), jnp.float32(6), jnp.float32(3.5)), (6, 3.5))
    np.testing.assert_array_equal(about_centre(jnp.eye(3), 11, 7), np.eye(3))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_the_inverse_is_that_of_linear_algebra(seed):
    random = np.random.default_rng(seed)
    matrix = np.float32(np.eye(3) + random.uniform(-0.25, 0.25, (3, 3)))
    np.testing.assert_allclose(jitted_inverse(matrix), np.linalg.inv(matrix.astype(np.float64)), atol=1e-4)


jitted_inverse, jitted_homography = jax.jit(inverse), jax.jit(homography)


def quadrilateral(random: np.random.Generator) -> np.ndarray:
    """Convex, as no corner moves by a quarter of a side."""
    sides = random.uniform(10, 200, 2)
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) + random.uniform(-0.2, 0.2, (4, 2))
    return (square * sides + random.uniform(-50, 50, 2)).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_a_homography_is_the_solution_of_its_eight_equations(seed):
    random = np.random.default_rng(seed)
    corners, places = quadrilateral(random), quadrilateral(random)
    matrix = np.asarray(jitted_homography(corners, places), np.float64)

    equations, values = [], []
    for (y, x), (up, across) in zip(corners.astype(np.float64), places.astype(np.float64), strict=True):
        equations += [[y, x, 1, 0, 0, 0, -y * up, -x * up], [0, 0, 0, y, x, 1, -y * across, -x * across]]
        values += [up, across]
    expected = np.append(np.linalg.solve(equations, values), 1).reshape(3, 3)

    share = random.uniform(size=(100, 4))
    inside = (share / share.sum(1, keepdims=True)) @ corners
    points = np.concatenate([inside, np.ones((100, 1))], axis=1)
    for_it, for_solution = points @ matrix.T, points @ expected.T
    np.testing.assert_allclose(
        for_it[:, :2] / for_it[:, 2:], for_solution[:, :2] / for_solution[:, 2:], atol=0.02, rtol=1e-4
    )
    np.testing.assert_allclose(np.transpose(moved(matrix, *corners.T)), places, atol=0.02)


def test_points_behind_the_horizon_are_far_away_and_finite():
    matrix = jnp.array([[1.0, 0, 0], [0, 1, 0], [-0.1, 0, 1]])
    y, x = moved(matrix, jnp.array([9.0, 10, 11, 1000]), jnp.ones(4))
    assert np.isfinite(y).all() and np.isfinite(x).all()
    assert (y[1:] > 1e5).all()


STILL: dict[str, Any] = {
    "rotate": 0.0,
    "translate": 0.0,
    "scale": (1.0, 1.0),
    "stretch": 1.0,
    "shear": 0.0,
    "perspective": 0.0,
    "distortion": 0.0,
}

COUNT = 1500


def moved_box(shrunk: float = 1, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Under 1,500 keys: the centre [N, 2] and the sides [N, 2] of what was a box of 8 x 4 about (30, 50).

    The picture is 40 x 80 with its centre at (20, 40). The centre of the tight box of a parallelogram is that of the
    parallelogram, so it goes where the motion takes it.
    """
    boxes = np.float32([30, 50, 30, 50]) + np.float32([-4, -2, 4, 2]) * np.float32(shrunk)
    example = {"image": np.zeros((40, 80, 1), np.float32), "boxes": boxes[None]}
    results = under_keys(affine, example, COUNT, **STILL | options)["boxes"][:, 0]
    low, high = results[:, :2], results[:, 2:]
    return (low + high) / 2, high - low


def test_rotations_are_uniform_in_degrees_both_ways_about_the_centre():
    centre, _ = moved_box(rotate=20.0)
    down, right = (centre - [20, 40]).T
    degrees = np.rad2deg(np.angle((right - 1j * down) / (10 - 10j)))
    assert is_uniform(degrees, -20, 20)
    np.testing.assert_allclose(np.hypot(down, right), 200**0.5, atol=1e-3)


def test_translations_are_uniform_shares_of_each_side_and_independent():
    centre, sides = moved_box(translate=0.1)
    down, right = (centre - [30, 50]).T
    assert is_uniform(down / 40, -0.1, 0.1) and is_uniform(right / 80, -0.1, 0.1)
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.1
    np.testing.assert_allclose(sides, [[8, 4]] * COUNT, atol=1e-3)


def test_scales_are_log_uniform():
    centre, sides = moved_box(scale=(0.5, 1.3))
    assert is_uniform(np.log(sides[:, 0] / 8), np.log(0.5), np.log(1.3))
    np.testing.assert_allclose(sides[:, 0], 2 * sides[:, 1], rtol=1e-4)
    np.testing.assert_allclose((centre - [20, 40]) / 10, sides / [8, 4], atol=1e-3)


def test_stretches_are_log_uniform_both_ways_and_keep_the_area():
    _, sides = moved_box(stretch=1.5)
    assert is_uniform(np.log(sides[:, 0] / sides[:, 1] / 2), -np.log(1.5), np.log(1.5))
    np.testing.assert_allclose(sides.prod(1), 32, rtol=1e-3)


def test_shears_are_uniform_in_degrees_both_ways():
    centre, sides = moved_box(shear=30.0)
    down, right = (centre - [20, 40]).T
    np.testing.assert_allclose(down, 10, atol=1e-3)
    assert is_uniform(np.rad2deg(np.arctan((right - 10) / 10)), -30, 30)
    np.testing.assert_allclose(sides[:, 1], 4 + 8 * np.abs(right - 10) / 10, atol=1e-3)


def test_perspective_moves_lines_that_were_parallel_apart():
    """A far box shrinks and a near one grows; on average nothing moves."""
    centre, sides = moved_box(perspective=0.1)
    assert np.abs(centre.mean(0) - [30, 50]).max() < 0.5
    assert sides[:, 0].std() > 0.2 and sides[:, 0].min() < 8 < sides[:, 0].max()


def test_distortion_moves_points_along_their_radius():
    centre, _ = moved_box(shrunk=0.01, distortion=0.2)
    down, right = (centre - [20, 40]).T
    np.testing.assert_allclose(down, right, atol=1e-3)
    # The radius before is r (1 + k1 r^2), with r in half diagonals.
    half = np.hypot(40, 80) / 2
    radius = np.hypot(down, right) / half
    assert is_uniform((200**0.5 / half / radius - 1) / radius**2, -0.2, 0.2)


OPTIONS = {
    "default": {},
    "strong": {"rotate": 180.0, "translate": 0.3, "scale": (0.6, 1.8), "stretch": 1.5, "shear": 25.0},
    "perspective": {"perspective": 0.15, "border": "edge"},
    "lens": {"distortion": 0.15, "perspective": 0.05, "rotate": 40.0, "border": "zero"},
}


@functools.cache
def jitted(name: str) -> Any:
    return jax.jit(lambda seed, example: affine(jax.random.key(seed), example, **OPTIONS[name]))


@pytest.mark.parametrize("name", list(OPTIONS))
def test_image_mask_and_boxes_move_together(name):
    left = 0

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**31 - 1))
    def check(seed):
        nonlocal left
        result = jax.tree.map(np.asarray, jitted(name)(seed, painted()))
        left += check_agreement(result, slack=2.1, turned=True)
        assert result["image"].min() >= 0 and result["image"].max() <= 1

    check()
    assert left > 40


def test_at_no_strength_nothing_moves():
    example = painted()
    result = jax.jit(lambda key: affine(key, painted(), **STILL))(jax.random.key(3))
    for field, value in example.items():
        np.testing.assert_array_equal(result[field], value)


def test_all_motions_together_are_one_resampling():
    """A black and white edge is smeared over a pixel, and not over one more for each motion."""
    image = np.zeros((48, 48, 1), np.float32)
    image[:, 24:] = 1
    result = np.asarray(jitted("strong")(5, {"image": image, "mask": (image[..., 0] > 0.5).astype(np.int32)})["image"])
    grey = ((result > 0.02) & (result < 0.98)).sum()
    assert 0 < grey < 3 * 48
