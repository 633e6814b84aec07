"""Matrices of motions, against hand calculations, complex numbers and NumPy's linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.augment.motions import (
    about_centre,
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


def test_the_homography_of_corners_that_stay_is_the_identity():
    corners = np.float32([[-6, -5], [-6, 5], [6, 5], [6, -5]])
    matrix = homography(corners, corners)
    np.testing.assert_allclose(matrix / matrix[2, 2], np.eye(3), atol=1e-6)


def test_points_behind_the_horizon_are_far_away_and_finite():
    matrix = jnp.array([[1.0, 0, 0], [0, 1, 0], [-0.1, 0, 1]])
    y, x = moved(matrix, jnp.array([9.0, 10, 11, 1000]), jnp.ones(4))
    assert np.isfinite(y).all() and np.isfinite(x).all()
    assert (y[1:] > 1e5).all()
