"""Crops and maps as arrays, against Pillow, SciPy and slices."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from convnets.evaluation.scores import as_logits, score, take_crop, take_map
from convnets.evaluation.views import Crop, crops_at


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(3, 20, 26, 2)).astype(np.float32)


def take(images: np.ndarray, crop: Crop, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(take_crop(jnp.asarray(images), jnp.array(crop, jnp.float32), size))


def test_a_crop_at_the_images_own_scale_is_a_slice(images):
    np.testing.assert_allclose(take(images, Crop(3, 5, 12, 14), (12, 14)), images[:, 3:15, 5:19], atol=1e-6)
    np.testing.assert_allclose(
        take(images, Crop(3, 5, 12, 14, True), (12, 14)), images[:, 3:15, 5:19][:, :, ::-1], atol=1e-6
    )


@pytest.mark.parametrize("scale", [(30, 39), (14, 18)])
def test_a_crop_of_a_scaled_image_is_that_of_the_image_that_pillow_scales(images, scale):
    size = (10, 12)
    [crop, _] = crops_at((20, 26), scale, size, [(4, 3)])
    found = take(images, crop, size)
    for image, given in zip(images, found, strict=True):
        for channel in range(2):
            whole = Image.fromarray(image[..., channel]).resize(scale[::-1], Image.Resampling.BILINEAR)
            np.testing.assert_allclose(given[..., channel], np.asarray(whole)[4:14, 3:15], atol=2e-5)


@pytest.mark.parametrize("size", [(30, 39), (10, 13)])
def test_a_map_is_the_image_that_pillow_scales(images, size):
    plain = np.asarray(take_map(jnp.asarray(images), size, jnp.float32(0)))
    whole = Image.fromarray(images[0, ..., 0]).resize(size[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(plain[0, ..., 0], np.asarray(whole), atol=2e-5)
    mirrored = np.asarray(take_map(jnp.asarray(images), size, jnp.float32(1)))
    np.testing.assert_array_equal(mirrored, plain[:, :, ::-1])


def test_a_map_of_logits_is_averaged_over_its_positions_after_the_softmax():
    logits = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(score(logits, "probabilities"), softmax(logits, -1).mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(score(logits, "logits"), logits.mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(score(logits[:, 0, 0], "probabilities"), softmax(logits[:, 0, 0], -1), rtol=1e-5)


def test_logits_of_averaged_probabilities_give_them_back():
    probabilities = np.array([[0.0, 0.25, 0.75]], np.float32)
    logits = np.asarray(as_logits(jnp.asarray(probabilities), "probabilities"))
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(softmax(logits, -1), probabilities, atol=1e-7)
    np.testing.assert_array_equal(as_logits(jnp.asarray(logits), "logits"), logits)
