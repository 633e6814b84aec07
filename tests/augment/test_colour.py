"""Brightness, contrast and saturation against Pillow, hue against colorsys, and their random mixture."""

import colorsys
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.stats import kstest

from convnets.augment import colour
from convnets.augment.colour import colour_jitter, mean_colour
from convnets.errors import InvalidValue

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


@functools.partial(jax.jit, static_argnames=("count", "brightness", "contrast", "saturation", "hue"))
def jittered(image: Any, count: int, **options: float) -> jax.Array:
    """The image under `count` keys."""
    return jax.vmap(lambda seed: colour_jitter(jax.random.key(seed), {"image": image}, **options)["image"])(
        jnp.arange(count)
    )


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
        name: read[name][1](np.asarray(jittered(read[name][0], count, **NONE | {name: strength})))
        for name, strength in options.items()
    }


def test_factors_are_uniform_around_one_but_not_below_zero_and_turns_around_none():
    strengths = {"brightness": 0.4, "contrast": 0.6, "saturation": 0.2, "hue": 0.25}
    found = drawn(3000, **strengths)
    for name in ("brightness", "contrast", "saturation"):
        assert kstest(found[name], "uniform", (1 - strengths[name], 2 * strengths[name])).pvalue > 1e-3
    turns = (found["hue"] + 0.5) % 1 - 0.5
    assert kstest(turns, "uniform", (-0.25, 0.5)).pvalue > 1e-3
    apart = np.corrcoef([found["brightness"], found["contrast"], found["saturation"], turns]) - np.eye(4)
    assert np.abs(apart).max() < 0.08, "each has a draw of its own"

    assert kstest(drawn(3000, brightness=2.0)["brightness"], "uniform", (0, 3)).pvalue > 1e-3


def test_changes_come_in_the_order_brightness_contrast_saturation_hue():
    strengths = {"brightness": 0.4, "contrast": 0.5, "saturation": 0.3, "hue": 0.1}
    image, found = photograph(3), drawn(20, **strengths)
    for number, changed in enumerate(np.asarray(jittered(image, 20, **strengths))):
        bright, contrasty, saturated, turn = (float(values[number]) for values in found.values())
        expected = turn_hue(saturate(contrast(brighten(image, bright), contrasty), saturated), turn)
        np.testing.assert_allclose(changed, expected, atol=2e-5)


def test_without_strength_nothing_is_changed():
    image = photograph()
    np.testing.assert_array_equal(jittered(image, 3, **NONE), np.stack([image] * 3))


@pytest.mark.parametrize(("channels", "dtype"), [(1, jnp.float32), (3, jnp.float32), (3, jnp.bfloat16)])
def test_shape_and_type_stay_and_one_key_gives_one_result(channels, dtype):
    image = jnp.asarray(photograph(channels=channels), dtype)
    options = {"brightness": 0.9, "contrast": 0.9, "saturation": 0.9, "hue": 0.5}
    images = jittered(image, 8, **options)
    assert images.shape == (8, *image.shape) and images.dtype == dtype
    assert images.min() >= 0 and images.max() <= 1
    one = functools.partial(colour_jitter, example={"image": image}, **options)
    for seed in (0, 5):
        np.testing.assert_array_equal(jax.jit(one)(jax.random.key(seed))["image"], images[seed])
    assert len({np.asarray(changed).tobytes() for changed in images}) == 8


@pytest.mark.parametrize(
    ("option", "value"),
    [("brightness", -0.1), ("contrast", float("nan")), ("saturation", float("inf")), ("hue", 0.6), ("hue", -0.1)],
)
def test_strengths_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(InvalidValue, match=f"the {option} of colour_jitter must .* and is {value}"):
        colour_jitter(jax.random.key(0), {"image": photograph()}, **{option: value})
