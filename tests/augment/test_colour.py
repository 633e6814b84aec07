"""Brightness, contrast and saturation against Pillow, hue against colorsys, PCA offsets against NumPy."""

import colorsys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_examples import is_uniform, under_keys
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.stats import kstest

from convnets.augment import colour
from convnets.augment.colour import IMAGENET_COMPONENTS, IMAGENET_EIGENVALUES, colour_jitter, mean_colour, pca_colour

brighten, contrast, saturate, turn_hue = map(
    jax.jit, (colour.brighten, colour.contrast, colour.saturate, colour.turn_hue)
)

factors = st.floats(0, 2, width=32)
seeds = st.integers(0, 2**31)


def levels(seed: int) -> np.ndarray:
    """[9, 7, 3] uint8; some images are dark, some of low contrast, so that their mean grey is not always the middle."""
    random = np.random.default_rng(seed)
    low = random.integers(0, 200)
    return random.integers(low, low + random.integers(10, 56), (9, 7, 3)).astype(np.uint8)


def photograph(seed: int = 0, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(9, 7, channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "enhance", "off"),
    # Pillow rounds the mean grey, and the greys, before it blends: up to half a level more for each 1 of the factor.
    [
        (brighten, ImageEnhance.Brightness, 1),
        (contrast, ImageEnhance.Contrast, 2),
        (saturate, ImageEnhance.Color, 2),
    ],
)
@settings(max_examples=60, deadline=None)
@given(seeds, factors)
def test_blends_are_those_of_pillow(change, enhance, off, seed, factor):
    image = levels(seed)
    expected = np.asarray(enhance(Image.fromarray(image)).enhance(factor))
    changed = 255 * np.asarray(change(image.astype(np.float32) / 255, factor))
    assert np.abs(changed - expected).max() <= off


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(-1, 1, width=32))
def test_hue_turns_as_in_colorsys(seed, turn):
    image = levels(seed).astype(np.float32) / 255

    def expected(pixel: np.ndarray) -> tuple[float, float, float]:
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, pixel))
        return colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)

    np.testing.assert_allclose(turn_hue(image, turn), np.apply_along_axis(expected, 2, image), atol=3e-6)


@pytest.mark.parametrize(
    ("turn", "red", "yellow"),
    [
        (0, (1, 0, 0), (1, 1, 0)),
        (1 / 6, (1, 1, 0), (0, 1, 0)),
        (1 / 3, (0, 1, 0), (0, 1, 1)),
        (0.5, (0, 1, 1), (0, 0, 1)),
        (-1 / 3, (0, 0, 1), (1, 0, 1)),
    ],
)
def test_pure_colours_go_round_the_circle_and_greys_stay(turn, red, yellow):
    image = np.array([[[1, 0, 0], [1, 1, 0], [0.25, 0.25, 0.25], [0, 0, 0], [1, 1, 1]]], np.float32)
    expected = [[red, yellow, *image[0, 2:].tolist()]]
    np.testing.assert_allclose(turn_hue(image, turn), expected, atol=1e-6)


def test_pixels_that_are_nearly_grey_or_black_have_a_finite_hue():
    image = np.array([[[1e-40, 0, 0], [0, 1e-38, 0], [0.5, 0.5, np.nextafter(np.float32(0.5), 1)]]], np.float32)
    np.testing.assert_allclose(turn_hue(image, 0.3), image, atol=1e-6)


def test_a_factor_of_one_and_no_turn_change_nothing():
    image = photograph()
    for change in (brighten, contrast, saturate):
        np.testing.assert_array_equal(change(image, 1.0), image)
    np.testing.assert_allclose(turn_hue(image, 0.0), image, atol=1e-6)


def test_a_factor_of_zero_leaves_black_the_mean_grey_and_the_grey_image():
    image = photograph()
    grey = image @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_array_equal(brighten(image, 0.0), np.zeros_like(image))
    np.testing.assert_allclose(contrast(image, 0.0), np.full_like(image, grey.mean()), atol=1e-6)
    np.testing.assert_allclose(saturate(image, 0.0), np.repeat(grey[..., None], 3, 2), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_without_red_green_and_blue_there_is_no_saturation_or_hue_and_the_mean_grey_is_the_mean(channels):
    image = photograph(channels=channels)
    np.testing.assert_array_equal(saturate(image, 0.3), image)
    np.testing.assert_array_equal(turn_hue(image, 0.3), image)
    np.testing.assert_allclose(contrast(image, 0.25), 0.25 * image + 0.75 * image.mean(), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0, 20, width=32))
def test_results_stay_in_range(seed, factor):
    for change in (brighten, contrast, saturate, turn_hue):
        changed = np.asarray(change(levels(seed).astype(np.float32) / 255, factor))
        assert changed.shape == (9, 7, 3) and changed.dtype == np.float32
        assert changed.min() >= 0 and changed.max() <= 1


@pytest.mark.parametrize("shape", [(1, 1, 3), (9, 7, 3), (224, 224, 1), (600, 500, 2)])
def test_the_mean_colour_is_the_mean(shape):
    image = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    np.testing.assert_allclose(mean_colour(image), image.mean((0, 1), np.float64), atol=1e-5)
    np.testing.assert_allclose(mean_colour(jnp.ones(shape)), np.ones(shape[-1]), atol=1e-6)


def jittered(image: Any, count: int, **options: float) -> np.ndarray:
    return under_keys(colour_jitter, {"image": image}, count, **options)["image"]


NONE = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


def drawn(count: int, **options: float) -> dict[str, np.ndarray]:
    """The factors, read off pictures that show each of them alone."""
    half = np.array([[[0.45] * 3, [0.55] * 3]], np.float32)
    reddish = np.array([[[0.4, 0.3, 0.3]]], np.float32)
    grey = 0.3 + 0.1 * 0.299
    read = {
        "brightness": (np.full((1, 1, 3), 0.25, np.float32), lambda x: x[:, 0, 0, 0] / 0.25),
        "contrast": (half, lambda x: (x[:, 0, 1, 0] - 0.5) / 0.05),
        "saturation": (reddish, lambda x: (x[:, 0, 0, 0] - grey) / (0.4 - grey)),
        "hue": (reddish, lambda x: np.array([colorsys.rgb_to_hsv(*map(float, pixel))[0] for pixel in x[:, 0, 0]])),
    }
    return {
        name: read[name][1](jittered(read[name][0], count, **NONE | {name: strength}))
        for name, strength in options.items()
    }


def test_factors_are_uniform_around_one_but_not_below_zero_and_turns_around_none():
    strengths = {"brightness": 0.4, "contrast": 0.6, "saturation": 0.2, "hue": 0.25}
    found = drawn(3000, **strengths)
    for name in ("brightness", "contrast", "saturation"):
        assert is_uniform(found[name], 1 - strengths[name], 1 + strengths[name])
    turns = (found["hue"] + 0.5) % 1 - 0.5
    assert is_uniform(turns, -0.25, 0.25)
    apart = np.corrcoef([found["brightness"], found["contrast"], found["saturation"], turns]) - np.eye(4)
    assert np.abs(apart).max() < 0.08, "each has a draw of its own"
    assert is_uniform(drawn(3000, brightness=2.0)["brightness"], 0, 3)


def test_changes_come_in_the_order_brightness_contrast_saturation_hue():
    strengths = {"brightness": 0.4, "contrast": 0.5, "saturation": 0.3, "hue": 0.1}
    image, found = photograph(3), drawn(20, **strengths)
    for number, changed in enumerate(jittered(image, 20, **strengths)):
        bright, contrasty, saturated, turn = (float(values[number]) for values in found.values())
        expected = turn_hue(saturate(contrast(brighten(image, bright), contrasty), saturated), turn)
        np.testing.assert_allclose(changed, expected, atol=2e-5)


def offset(image: np.ndarray, count: int, **options: Any) -> np.ndarray:
    return under_keys(pca_colour, {"image": image}, count, **options)["image"]


def middle(channels: int = 3) -> np.ndarray:
    return np.full((2, 2, channels), 0.5, np.float32)


def test_imagenets_components_are_orthogonal_and_as_long_as_the_deviation_along_them():
    components = np.array(IMAGENET_COMPONENTS)
    products = components @ components.T
    np.testing.assert_allclose(products, np.diag(IMAGENET_EIGENVALUES), atol=2e-4)
    # The eigenvalues are variances, since with them the three channels deviate as those of photographs do (COCO's, as
    # published with CornerNet: 0.278, 0.274, 0.289); read as deviations they would give 0.12.
    np.testing.assert_allclose(np.sqrt((components**2).sum(0)), [0.2837, 0.2763, 0.2897], atol=1e-4)


def test_offsets_are_normal_with_the_components_covariance():
    count, deviation = 20_000, 0.1
    offsets = (offset(middle(), count))[:, 0, 0].astype(np.float64) - 0.5
    components = np.array(IMAGENET_COMPONENTS)
    expected = deviation**2 * components.T @ components
    assert np.abs(offsets.mean(0)).max() < 4 * np.sqrt(expected.max() / count)
    np.testing.assert_allclose(np.cov(offsets.T), expected, atol=0.03 * expected.max())
    alphas = offsets @ np.linalg.inv(components)
    for alpha in alphas.T:
        assert kstest(alpha, "norm", (0, deviation)).pvalue > 1e-3
    assert np.abs(np.corrcoef(alphas.T) - np.eye(3)).max() < 0.03


def test_components_are_rows():
    """Only the first is not zero, so all offsets go along it."""
    components = ((0.3, 0.2, -0.1), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    offsets = (offset(middle(), 50, components=components, deviation=0.5))[:, 0, 0] - 0.5
    np.testing.assert_allclose(offsets, offsets[:, :1] / 0.3 * np.array(components[0]), atol=1e-6)
    assert offsets[:, 0].std() > 0.05


def test_the_whole_image_gets_one_offset_and_is_clipped():
    image = np.random.default_rng(0).uniform(size=(5, 4, 3)).astype(np.float32)
    offsets = (offset(middle(), 30, deviation=1.0))[:, :1, :1] - 0.5
    changed = offset(image, 30, deviation=1.0)
    seen = np.abs(offsets).max((1, 2, 3)) < 0.5
    assert seen.sum() > 5
    np.testing.assert_allclose(changed[seen], np.clip(image + offsets[seen], 0, 1), atol=1e-6)
    assert (changed == 0).any() and (changed == 1).any()
