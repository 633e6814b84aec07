"""Motions of the plane as 3 x 3 matrices, and a random one: a picture turned, scaled, sheared, shifted and tilted.

A matrix acts on homogeneous pixel coordinates (y, x, 1), where pixel (i, j) covers the square from (i, j) to
(i + 1, j + 1) and has its centre at (i + 0.5, j + 0.5). The product of matrices is one matrix, so that a picture is
resampled once however many motions it goes through. Motions are about the origin, the picture's upper left corner;
`about_centre` moves that. All arguments may be traced; all matrices are float32 (Hartley and Zisserman, "Multiple
View Geometry", 2004, section 2.4).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from convnets.augment.boxes import corners
from convnets.augment.lens import Lens
from convnets.augment.transforms import (
    Example,
    check_choice,
    check_interval,
    check_strength,
    log_between,
    transforms,
)
from convnets.augment.warp import Border, warp
from convnets.errors import InvalidValue

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


def warp_by(example: Example, matrix: Array, *, border: Border = "zero") -> Example:
    """The example moved by a matrix `[3, 3]` that says where its points go. Raises what `warp` does."""
    back = inverse(matrix)
    return warp(example, lambda y, x: moved(back, y, x), lambda y, x: moved(matrix, y, x), border=border, points=1)


@transforms.register
def affine(
    key: Array,
    example: Example,
    *,
    rotate: float = 15.0,
    translate: float = 0.1,
    scale: Sequence[float] = (0.9, 1.1),
    stretch: float = 1.1,
    shear: float = 5.0,
    perspective: float = 0.0,
    distortion: float = 0.0,
    border: Border = "zero",
) -> Example:
    """The picture sheared, stretched, scaled, turned, tilted and shifted about its centre, then seen through a lens.

    (Lecture: "Types of data augmentation", "get creative: random mix of translation, rotation, stretching, shearing,
    lens distortions".) Each further resampling would blur the picture once more, and cut what the next motion would
    have brought back in; so all motions are drawn first, and multiplied. Every amount is drawn anew and independently;
    with all strengths at 0, and `scale` and `stretch` at 1, the example stays as it is.

    Args:
      rotate: degrees, 0 to 180; uniform in [-rotate, rotate].
      translate: the shift down as a share of the height, and to the right as one of the width, 0 to 1; each uniform
        in [-translate, translate].
      scale: (smallest, largest) factor, positive; log-uniform.
      stretch: at least 1: the ratio of height to width changes by a factor, log-uniform in [1 / stretch, stretch], at
        the same area.
      shear: degrees by which vertical lines lean, 0 to below 90; uniform in [-shear, shear].
      perspective: each corner moves by up to so much of height and width, 0 to below 1/4, uniform; not affine any
        more where it is above 0.
      distortion: the radial coefficient k1 of a lens (see `lens`), 0 to below 1/3; uniform in both directions.
      border: what lies around the picture: "zero" (ignored in masks), "edge" or "reflect".

    Raises:
      InvalidValue: a strength outside its range, or an unknown border.
    """
    check_strength("the rotation in degrees", rotate, 180)
    check_strength("the translation as a share of the side", translate, 1)
    check_interval("the scale of an affine motion", scale)
    if not 1 <= stretch < float("inf"):
        raise InvalidValue(f"the stretch is a factor of at least 1, and is {stretch!r}")
    check_strength("the shear in degrees", shear, 90, limit_itself=False)
    check_strength("the perspective as a share of the side", perspective, 1 / 4, limit_itself=False)
    check_strength("the distortion", distortion, 1 / 3, limit_itself=False)
    check_choice("the border of a warp", border, Border)

    height, width, _ = example["image"].shape
    sides = jnp.array([height, width], jnp.float32)
    # All draws at once: each call of the generator costs compilation time.
    draws = jax.random.uniform(key, (15,))
    lean, turn, down, right, bend = 2 * draws[:5] - 1
    zoom, ratio = log_between(draws[5], scale), log_between(draws[6], (1 / stretch, stretch))
    motions = [
        shearing(shear * lean),
        scaling(zoom * jnp.sqrt(ratio), zoom / jnp.sqrt(ratio)),
        rotation(rotate * turn),
    ]
    if perspective:
        picture = jnp.stack(corners(height, width), axis=-1) - sides / 2
        shifts = perspective * (2 * draws[7:].reshape(4, 2) - 1)
        motions.append(homography(picture, picture + shifts * sides))
    motions.append(translation(translate * height * down, translate * width * right))
    matrix = about_centre(chain(*motions), height, width)
    if not distortion:
        return warp_by(example, matrix, border=border)

    lens = Lens(distortion * bend, 0.0, height, width)
    back = inverse(matrix)
    return warp(
        example,
        source_of=lambda y, x: moved(back, *lens.undistorted(y, x)),
        target_of=lambda y, x: lens.distorted(*moved(matrix, y, x)),
        border=border,
    )


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
