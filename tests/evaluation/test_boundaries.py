"""The bands around boundaries against windows of SciPy that hold more than one value."""

import jax.numpy as jnp
import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from convnets.evaluation.metrics import WIDTHS, boundary_bands


def by_windows(mask):
    bands = np.full(mask.shape, len(WIDTHS))
    for number, width in reversed(list(enumerate(WIDTHS))):
        highest, lowest = (f(mask, 2 * width + 1, mode="nearest") for f in (maximum_filter, minimum_filter))
        bands[highest != lowest] = number
    return bands


def patches(*shape):
    return np.random.default_rng(0).integers(0, 3, shape).repeat(9, 1).repeat(23, 2)


def test_bands_are_the_windows_that_hold_another_value():
    masks = patches(3, 4, 5)
    masks[2] = 1
    masks[2, 20, 70] = 255
    found = np.asarray(boundary_bands(jnp.asarray(masks)))
    assert set(found.ravel()) == set(range(len(WIDTHS) + 1))
    for one, mask in zip(found, masks, strict=True):
        np.testing.assert_array_equal(one, by_windows(mask))


def test_what_an_image_is_filled_up_with_makes_no_boundary():
    mask = patches(1, 4, 5)[0]
    filled = np.full((1, 50, 130), 255)
    filled[0, :36, :115] = mask
    found = boundary_bands(jnp.asarray(filled), jnp.array([[36, 115]]))
    np.testing.assert_array_equal(found[0, :36, :115], by_windows(mask))


def test_a_mask_of_one_value_has_no_boundary():
    assert (boundary_bands(jnp.full((1, 20, 20), 4)) == len(WIDTHS)).all()
