"""Brightness, contrast and saturation against Pillow, hue against colorsys, PCA offsets against NumPy."""

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
from convnets.augment.colour import IMAGENET_COMPONENTS, IMAGENET_EIGENVALUES, colour_jitter, mean_colour, pca_colour
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


@functools.partial(jax.jit, static_argnames=("count", "deviation", "components"))
def offset(image: np.ndarray, count: int, **options: object) -> jax.Array:
    """The image under `count` keys."""
    return jax.vmap(lambda seed: pca_colour(jax.random.key(seed), {"image": image}, **options)["image"])(
        jnp.arange(count)
    )


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
    offsets = np.asarray(offset(middle(), count))[:, 0, 0].astype(np.float64) - 0.5
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
    offsets = np.asarray(offset(middle(), 50, components=components, deviation=0.5))[:, 0, 0] - 0.5
    np.testing.assert_allclose(offsets, offsets[:, :1] / 0.3 * np.array(components[0]), atol=1e-6)
    assert offsets[:, 0].std() > 0.05


def test_the_whole_image_gets_one_offset_and_is_clipped():
    image = np.random.default_rng(0).uniform(size=(5, 4, 3)).astype(np.float32)
    offsets = np.asarray(offset(middle(), 30, deviation=1.0))[:, :1, :1] - 0.5
    changed = np.asarray(offset(image, 30, deviation=1.0))
    seen = np.abs(offsets).max((1, 2, 3)) < 0.5
    assert seen.sum() > 5
    np.testing.assert_allclose(changed[seen], np.clip(image + offsets[seen], 0, 1), atol=1e-6)
    assert (changed == 0).any() and (changed == 1).any()


@pytest.mark.parametrize(("channels", "dtype"), [(1, jnp.float32), (3, jnp.bfloat16), (5, jnp.float32)])
def test_shape_type_and_range_stay_and_one_key_gives_one_result(channels, dtype):
    image = jnp.asarray(np.random.default_rng(0).uniform(size=(5, 4, channels)), dtype)
    components = tuple(map(tuple, (0.5 * np.eye(channels)).tolist()))
    images = offset(image, 4, components=components, deviation=0.2)
    assert images.shape == (4, *image.shape) and images.dtype == dtype
    assert images.min() >= 0 and images.max() <= 1
    one = jax.jit(lambda key: pca_colour(key, {"image": image}, components=components, deviation=0.2)["image"])
    np.testing.assert_array_equal(one(jax.random.key(3)), images[3])
    assert len({np.asarray(changed).tobytes() for changed in images}) == 4


def test_images_of_other_channels_and_negative_deviations_are_refused():
    with pytest.raises(
        InvalidValue, match=r"components of 3 channels for images of 1: leave .* `launch.py statistics`"
    ):
        pca_colour(jax.random.key(0), {"image": middle(1)})
    with pytest.raises(InvalidValue, match=r"the deviation of pca_colour must .* and is -0\.1"):
        pca_colour(jax.random.key(0), {"image": middle()}, deviation=-0.1)


@pytest.mark.parametrize("components", [(), 0.5, ((1.0, 2.0),), ((float("nan"),),), (("a",),), (1.0, 2.0, 3.0)])
def test_what_are_no_components_is_refused(components):
    with pytest.raises(InvalidValue, match="the components of pca_colour are"):
        pca_colour(jax.random.key(0), {"image": middle()}, components=components)
