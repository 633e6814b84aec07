"""Crops and maps as arrays, against Pillow, SciPy and slices."""

import jax.numpy as jnp
import numpy as np
import pytest
from convnets.evaluation.scores import add, mean, nothing, score, take_crop, take_map
from PIL import Image
from scipy.special import softmax

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
    probabilities = np.exp(score(logits, "probabilities"))
    np.testing.assert_allclose(probabilities, softmax(logits, -1).mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(score(logits, "logits"), logits.mean((1, 2)), rtol=1e-5, atol=1e-6)
    one = np.exp(score(logits[:, 0, 0], "probabilities"))
    np.testing.assert_allclose(one, softmax(logits[:, 0, 0], -1), rtol=1e-5)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_shares_add_up_to_the_mean_and_one_alone_is_itself(average):
    logits = np.random.default_rng(2).normal(size=(3, 2, 5)).astype(np.float32)
    total = jnp.full((2, 5), nothing(average))
    for view, share in zip(logits, (0.5, 0.25, 0.25), strict=True):
        total = add(total, score(view, average), jnp.float32(share), average)
    found, of_view = (np.exp(total), softmax(logits, -1)) if average == "probabilities" else (total, logits)
    np.testing.assert_allclose(found, np.average(of_view, axis=0, weights=(0.5, 0.25, 0.25)), rtol=1e-5, atol=1e-7)
    parts = [np.asarray(score(view, average)) for view in logits]
    found = np.exp(mean(parts, average)) if average == "probabilities" else mean(parts, average)
    np.testing.assert_allclose(found, of_view.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(mean(parts[:1], average), parts[0])


def test_classes_far_behind_keep_their_order():
    """Probabilities below 1e-45 are zero in float32, and their logarithms are not."""
    logits = np.array([[500.0, 0, 1, 2, 3, 4, 5]], np.float32)
    total = add(
        jnp.full((1, 7), nothing("probabilities")), score(logits, "probabilities"), jnp.float32(1), "probabilities"
    )
    assert np.argsort(total[0]).tolist() == np.argsort(logits[0]).tolist()
