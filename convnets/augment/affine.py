"""Random translation, rotation, scaling, stretching, shearing and tilting, together in one resampling.

(Lecture: "Types of data augmentation", with "get creative: random mix of translation, rotation, stretching,
shearing, lens distortions".) Each further resampling would blur the picture once more, and cut what the next motion
would have brought back in; so all motions are drawn first, and multiplied.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from convnets.augment.boxes import corners
from convnets.augment.draws import check_interval, check_strength, log_between
from convnets.augment.lens import Lens
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
from convnets.augment.registry import Example, augmentations
from convnets.augment.warp import Border, check_border, warp, warp_by
from convnets.errors import InvalidValue


@augmentations.register
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

    Every amount is drawn anew and independently; with all strengths at 0, and `scale` and `stretch` at 1, the example
    stays as it is.

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
    check_border(border)

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
