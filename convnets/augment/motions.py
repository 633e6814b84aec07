"""Motions of the plane as 3 x 3 matrices: what turns, scales, shears, shifts or tilts a picture.

A matrix acts on homogeneous pixel coordinates (y, x, 1), where pixel (i, j) covers the square from (i, j) to
(i + 1, j + 1) and has its centre at (i + 0.5, j + 0.5). The product of matrices is one matrix, so that a picture is
resampled once however many motions it goes through. Motions are about the origin, the picture's upper left corner;
`about_centre` moves that. All arguments may be traced; all matrices are float32 (Hartley and Zisserman, "Multiple
View Geometry", 2004, section 2.4).
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

NEAREST_DEPTH = 1e-6
"""Points at or behind the horizon of a homography have no place in the plane, and are put far outside."""


def translation(down: ArrayLike, right: ArrayLike) -> Array:
    """Shifts by so many pixels."""
    return jnp.array([[1.0, 0.0, down], [0.0, 1.0, right], [0.0, 0.0, 1.0]], jnp.float32)


def rotation(degrees: ArrayLike) -> Array:
    """Turns counterclockwise, as one looks at the picture."""
    angle = jnp.deg2rad(jnp.asarray(degrees, jnp.float32))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], jnp.float32)


def scaling(down: ArrayLike, right: ArrayLike) -> Array:
    """Makes the picture `down` times as high and `right` times as wide; two different factors stretch it."""
    return jnp.array([[down, 0.0, 0.0], [0.0, right, 0.0], [0.0, 0.0, 1.0]], jnp.float32)


def shearing(degrees: ArrayLike) -> Array:
    """Leans vertical lines by so many degrees (below 90), their lower end to the right; rows stay rows."""
    slope = jnp.tan(jnp.deg2rad(jnp.asarray(degrees, jnp.float32)))
    return jnp.array([[1.0, 0.0, 0.0], [slope, 1.0, 0.0], [0.0, 0.0, 1.0]], jnp.float32)


def homography(corners: ArrayLike, moved_corners: ArrayLike) -> Array:
    """The matrix that takes four points to four others, `[4, 2]` (y, x) each, both in order around a quadrilateral.

    No three of the four may lie on one line, and both quadrilaterals are convex; then everything within the first
    lies before the horizon. By way of the unit square (Heckbert 1989, "Fundamentals of texture mapping and image
    warping", section 2.2.3), which needs no linear solver.
    """
    return chain(inverse(_from_unit_square(corners)), _from_unit_square(moved_corners))


def chain(*motions: Array) -> Array:
    """One matrix for several motions, the first applied first."""
    whole = jnp.eye(3)
    for motion in motions:
        # Sums of products and no matmul: that is less precise on TPUs and some GPUs, and rounds otherwise in a batch.
        whole = jnp.sum(motion[:, :, None] * whole[None], axis=1)
    return whole


def about_centre(matrix: Array, height: int, width: int) -> Array:
    """The same motion about the centre of a picture of `height` x `width` pixels."""
    return chain(translation(-height / 2, -width / 2), matrix, translation(height / 2, width / 2))


def inverse(matrix: Array) -> Array:
    """The motion back: the adjugate by the determinant."""
    first, second, third = matrix
    adjugate = jnp.stack([jnp.cross(second, third), jnp.cross(third, first), jnp.cross(first, second)], axis=-1)
    return adjugate / jnp.sum(first * adjugate[:, 0])


def moved(matrix: Array, y: Array, x: Array) -> tuple[Array, Array]:
    """Where the matrix takes the points (y, x), arrays of one shape or that broadcast."""
    up, across, depth = (row[0] * y + row[1] * x + row[2] for row in matrix)
    depth = jnp.maximum(depth, NEAREST_DEPTH)
    return up / depth, across / depth


def _from_unit_square(corners: ArrayLike) -> Array:
    """The matrix that takes (0, 0), (0, 1), (1, 1), (1, 0) to `corners [4, 2]`."""
    first, second, third, fourth = jnp.asarray(corners, jnp.float32)
    skew = first - second + third - fourth
    across, down = second - third, fourth - third

    def cross(one: Array, other: Array) -> Array:
        return one[0] * other[1] - one[1] * other[0]

    tilt_x = cross(skew, down) / cross(across, down)
    tilt_y = cross(across, skew) / cross(across, down)
    columns = [fourth - first + tilt_y * fourth, second - first + tilt_x * second, first]
    return jnp.concatenate([jnp.stack(columns, axis=-1), jnp.stack([tilt_y, tilt_x, jnp.ones(())])[None]])
