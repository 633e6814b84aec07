"""Erased rectangles: that they are some, and how their sizes and places are distributed."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from drawn_examples import is_share, under_keys
from scipy.stats import chisquare, kstest

from convnets.augment.erasing import random_erasing


def results(image: Any, count: int, **options: Any) -> np.ndarray:
    return under_keys(random_erasing, {"image": image}, count, **options)["image"]


def rectangles(height: int, width: int, count: int, **options: object) -> np.ndarray:
    """(top, left, height, width) of what is erased under `count` keys `[count, 4]`, each checked to be a rectangle."""
    images = results(np.ones((height, width, 1), np.float32), count, fill="zero", **options)
    found = []
    for erased in images[..., 0] == 0:
        rows, columns = np.nonzero(erased.any(1))[0], np.nonzero(erased.any(0))[0]
        if not rows.size:
            continue
        box = (rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
        assert erased.sum() == box[2] * box[3], "nothing but a whole rectangle is erased"
        found.append(box)
    return np.array(found).reshape(-1, 4)


def test_area_and_aspect_are_uniform_in_their_ranges():
    options = {"probability": 1.0, "area": (0.02, 0.25), "aspect": (0.5, 2.0)}
    boxes = rectangles(200, 300, 1500, **options)
    assert len(boxes) == 1500
    _, _, height, width = boxes.T
    assert kstest(height * width / 60_000, "uniform", (0.02, 0.23)).pvalue > 1e-3
    assert kstest(height / width, "uniform", (0.5, 1.5)).pvalue > 1e-3
    assert abs(np.corrcoef(height * width, height / width)[0, 1]) < 0.08


def test_a_rectangle_lies_anywhere_inside_with_equal_probability():
    """A quarter of 6 x 8 pixels at an aspect of 3/4 is 3 x 4, for which there are 4 x 5 places."""
    boxes = rectangles(6, 8, 4000, probability=1.0, area=(0.25, 0.25), aspect=(0.75, 0.75))
    assert np.all(boxes[:, 2:] == [3, 4])
    places, times = np.unique(boxes[:, :2], axis=0, return_counts=True)
    assert len(places) == 20 and places.max(0).tolist() == [3, 4]
    assert chisquare(times).pvalue > 1e-3


def test_what_does_not_fit_is_cut_off():
    boxes = rectangles(4, 16, 20, probability=1.0, area=(0.25, 0.25), aspect=(4.0, 4.0))
    assert np.all(boxes[:, [0, 2, 3]] == [0, 4, 2]) and len(set(boxes[:, 1])) > 3


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_so_many_are_erased_and_the_others_stay(probability):
    assert is_share(len(rectangles(12, 12, 2000, probability=probability)), 2000, probability)


def noise(channels: int = 3) -> np.ndarray:
    """[16, 10, C] between 0.25 and 0.75."""
    return np.random.default_rng(0).uniform(0.25, 0.75, (16, 10, channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("fill", "dtype"), [("mean", jnp.float32), ("mean", jnp.bfloat16), ("noise", jnp.bfloat16), ("zero", jnp.float32)]
)
def test_outside_the_rectangle_the_image_stays_and_inside_it_is_filled(fill, dtype):
    image = jnp.asarray(noise(), dtype)
    images = results(image, 30, probability=1.0, fill=fill, area=(0.1, 0.3), aspect=(0.5, 2.0))
    assert images.shape == (30, 16, 10, 3) and images.dtype == dtype
    assert len({np.asarray(changed).tobytes() for changed in images}) > 20
    image, images = np.asarray(image, np.float32), np.asarray(images, np.float32)
    for changed in images:
        inside = (changed != image).any(-1)
        rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
        part = changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert inside.sum() == part.shape[0] * part.shape[1] >= 8
        if fill == "mean":
            np.testing.assert_allclose(part, np.broadcast_to(image.mean((0, 1)), part.shape), rtol=2e-2)
            np.testing.assert_array_equal(part, np.broadcast_to(part[0, 0], part.shape))
        elif fill == "zero":
            np.testing.assert_array_equal(part, 0)
        else:
            assert part.min() >= 0 and part.max() <= 1 and part.std() > 0.1


def test_the_mean_is_that_of_each_channel():
    image = noise() * np.array([1, 0.5, 0.1], np.float32)
    changed = results(image, 3, probability=1.0, area=(1.0, 1.0), aspect=(1.6, 1.6), fill="mean")
    np.testing.assert_allclose(changed[0], np.broadcast_to(image.mean((0, 1)), image.shape), atol=1e-6)


def test_noise_is_uniform_over_the_levels_of_a_byte_and_another_for_each_value():
    image = np.zeros((101, 101, 3), np.float32)
    options = {"probability": 1.0, "area": (1.0, 1.0), "aspect": (1.0, 1.0), "fill": "noise"}
    one, two = 255 * np.asarray(results(image, 2, **options), np.float64)
    np.testing.assert_allclose(one, np.round(one), atol=1e-4)
    assert chisquare(np.bincount(np.round(one).astype(int).ravel(), minlength=256)).pvalue > 1e-3
    for shifted in (two, np.roll(one, 1, 0), np.roll(one, 1, 1), np.roll(one, 1, 2)):
        assert abs(np.corrcoef(one.ravel(), shifted.ravel())[0, 1]) < 0.03
