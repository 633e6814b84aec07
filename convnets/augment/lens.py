"""Barrel and pincushion distortion: straight lines bend as a lens bends them.

In the distorted picture a point at radius r from the centre shows what lay at radius r (1 + k1 r^2 + k2 r^4), where
r = 1 is half the diagonal (Brown 1971, "Close-range camera calibration", radial terms). Positive coefficients show
at the rim what lay further out: a barrel. Negative ones are a pincushion.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from convnets.augment.transforms import Example, check_choice, check_strength, transforms
from convnets.augment.warp import Border, warp
from convnets.errors import InvalidValue

NEWTON_STEPS = 12
"""Enough for float32 up to nine tenths of the largest coefficients."""


@dataclass(frozen=True)
class Lens:
    """A lens with its axis through the centre of a picture of `height` x `width` pixels; k1 and k2 may be traced."""

    k1: ArrayLike
    k2: ArrayLike
    height: int
    width: int

    def undistorted(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Where the points (y, x) of the distorted picture come from; pixel coordinates."""
        down, right = y - self.height / 2, x - self.width / 2
        squared = (down**2 + right**2) / self._half_diagonal**2
        growth = 1 + squared * (self.k1 + squared * self.k2)
        return self.height / 2 + growth * down, self.width / 2 + growth * right

    def distorted(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Where the points (y, x) of the undistorted picture go: the inverse of `undistorted`, by Newton's method.

        Nothing beyond r = 1 is seen; there the polynomial goes on as a straight line, so that every point has a place.
        """
        down, right = y - self.height / 2, x - self.width / 2
        radius = jnp.sqrt(down**2 + right**2) / self._half_diagonal

        def newton(_: int, guess: Array) -> Array:
            within = jnp.minimum(guess, 1.0)
            squared = within**2
            slope = 1 + squared * (3 * self.k1 + squared * 5 * self.k2)
            reached = within * (1 + squared * (self.k1 + squared * self.k2)) + slope * (guess - within)
            return guess - (reached - radius) / slope

        found = lax.fori_loop(0, NEWTON_STEPS, newton, radius)
        shrinkage = jnp.where(radius > 0, found / jnp.where(radius > 0, radius, 1), 1)
        return self.height / 2 + shrinkage * down, self.width / 2 + shrinkage * right

    @property
    def _half_diagonal(self) -> float:
        return (self.height**2 + self.width**2) ** 0.5 / 2


def distort(example: Example, coefficients: tuple[ArrayLike, ArrayLike], *, border: Border = "zero") -> Example:
    """The example seen through a lens: `image [H, W, C]` in [0, 1], and `mask` and `boxes` if it has them.

    Args:
      coefficients: (k1, k2), scalars that may be traced, with 3 |k1| + 5 |k2| < 1.

    Raises:
      InvalidValue: an unknown border, or an image of integers.
    """
    height, width, _ = example["image"].shape
    lens = Lens(*coefficients, height, width)
    return warp(example, lens.undistorted, lens.distorted, border=border)


@transforms.register
def lens_distortion(
    key: Array, example: Example, *, k1: float = 0.2, k2: float = 0.0, border: Border = "zero"
) -> Example:
    """A random lens, barrel or pincushion: "lens distortion" among the augmentations of the lecture and of
    Wu et al. 2015, "Deep Image", section 3.2.

    Args:
      k1, k2: the coefficients are uniform in [-k1, k1] and [-k2, k2]; at 0.2 the corners shift by a fifth.
      border: what lies around the picture: "zero" (ignored in masks), "edge" or "reflect".

    Raises:
      InvalidValue: a negative strength, 3 k1 + 5 k2 of 1 or more, where radii would not grow up to r = 1 and the
        picture could fold over itself, or an unknown border.
    """
    for name, strength in (("k1", k1), ("k2", k2)):
        check_strength(f"the distortion {name} of a lens", strength)
    if 3 * k1 + 5 * k2 >= 1:
        raise InvalidValue(
            f"the distortion of a lens needs 3 k1 + 5 k2 below 1, else the picture folds over itself, "
            f"and was given k1 = {k1:g} and k2 = {k2:g}"
        )
    check_choice("the border of a warp", border, Border)
    limits = jnp.array([k1, k2])
    drawn = jax.random.uniform(key, (2,), minval=-limits, maxval=limits)
    return distort(example, (drawn[0], drawn[1]), border=border)
