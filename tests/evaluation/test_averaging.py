"""Crops, maps and scores as arrays, against Pillow, SciPy and slices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from convnets.evaluation.averaging import AverageScores, image_scores, mean, pixel_scores
from convnets.evaluation.views import Crop, Seen, crop, crops_at, numbers_of, resample, scaled_extents, see

EXTENTS = np.array([[20, 26], [9, 26], [20, 11], [1, 1]], np.int32)


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(4, 20, 26, 2)).astype(np.float32)


def by_pillow(image, size):
    channels = (Image.fromarray(image[..., channel]) for channel in range(image.shape[-1]))
    return np.stack([np.asarray(each.resize(size[::-1], Image.Resampling.BILINEAR)) for each in channels], -1)


def seen_with(share):
    nothing = jnp.zeros(4)
    return Seen(nothing, jnp.float32(0), jnp.float32(share), (1, 1), (1, 1), nothing, nothing)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_crop_at_the_images_own_scale_is_a_slice(images, mirrored):
    numbers = jnp.array(numbers_of(Crop(3, 5, 12, 14, mirrored), (20, 26), 1.0), jnp.float32)
    found, seen = see(jnp.asarray(images), numbers, (12, 14), whole=False)
    part = images[:, 3:15, 5:19]
    np.testing.assert_allclose(found, part[:, :, ::-1] if mirrored else part, atol=1e-6)
    assert seen.region.tolist() == [3, 5, 12, 14] and seen.mirrored == mirrored and seen.size == (12, 14)


@pytest.mark.parametrize("scale", [(30, 39), (14, 18)])
def test_a_crop_of_a_scaled_image_is_that_of_the_image_that_pillow_scales(images, scale):
    [view, _] = crops_at((20, 26), scale, (10, 12), [(4, 3)])
    found = crop(jnp.asarray(images), jnp.array(view[:4], jnp.float32), 0, (10, 12))
    for image, given in zip(images, found, strict=True):
        np.testing.assert_allclose(given, by_pillow(image, scale)[4:14, 3:15], atol=3e-5)


@pytest.mark.parametrize("size", [(30, 39), (10, 13), (20, 26), (24, 17)])
@pytest.mark.parametrize("mirrored", [0, 1])
def test_each_image_is_scaled_as_if_it_were_alone(images, size, mirrored):
    wanted = np.asarray(scaled_extents(jnp.asarray(EXTENTS), (20, 26), size))
    assert wanted[0].tolist() == list(size) and wanted.min() > 0
    found = np.asarray(resample(jnp.asarray(images), size, EXTENTS, wanted, jnp.float32(mirrored)))
    assert found.shape == (4, *size, 2)
    for image, given, own, new in zip(images, found, EXTENTS, wanted, strict=True):
        alone = image[: own[0], : own[1]]
        expected = by_pillow(alone[:, ::-1] if mirrored else alone, tuple(new))
        np.testing.assert_allclose(given[: new[0], : new[1]], expected, atol=3e-5)


def test_an_image_that_fills_its_array_is_scaled_as_jax_scales_it(images):
    full, wanted = jnp.tile(jnp.array([[20, 26]]), (4, 1)), jnp.tile(jnp.array([[13, 40]]), (4, 1))
    found = resample(jnp.asarray(images), (13, 40), full, wanted, jnp.float32(0))
    np.testing.assert_allclose(found, jax.image.resize(images, (4, 13, 40, 2), "linear", antialias=True), atol=2e-6)


def test_a_map_of_logits_is_averaged_over_its_positions_after_the_softmax():
    logits = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype(np.float32)
    probabilities = np.exp(image_scores(logits, "probabilities"))
    np.testing.assert_allclose(probabilities, softmax(logits, -1).mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(image_scores(logits, "logits"), logits.mean((1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_shares_add_up_to_the_mean_and_one_alone_is_itself(average):
    logits = np.random.default_rng(2).normal(size=(3, 2, 5)).astype(np.float32)
    merger, shares = AverageScores(average), (0.5, 0.25, 0.25)
    said = [merger.look((view, {}), seen_with(share)) for view, share in zip(logits, shares, strict=True)]
    total = merger.scores([merger.add(merger.add(said[0], said[1]), said[2])])
    found, of_view = (np.exp(total), softmax(logits, -1)) if average == "probabilities" else (total, logits)
    np.testing.assert_allclose(found, np.average(of_view, axis=0, weights=shares), rtol=1e-5, atol=1e-7)
    parts = [np.asarray(image_scores(view, average)) for view in logits]
    found = np.exp(mean(parts, average)) if average == "probabilities" else mean(parts, average)
    np.testing.assert_allclose(found, of_view.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(mean(parts[:1], average), parts[0])


def test_classes_far_behind_keep_their_order():
    """Probabilities below 1e-45 are zero in float32, and their logarithms are not."""
    logits = np.array([[500.0, 0, 1, 2, 3, 4, 5]], np.float32)
    total = AverageScores("probabilities").look((logits, {}), seen_with(1.0))
    assert np.argsort(total[0]).tolist() == np.argsort(logits[0]).tolist()


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_scores_of_a_mirrored_view_come_back_to_their_pixels(images, average):
    """At the images' own scale nothing is interpolated."""
    logits = images.copy()
    for i, (height, width) in enumerate(EXTENTS):
        logits[i, :height, :width] = images[i, :height, :width][:, ::-1]
    mirrored = jnp.float32(1)
    found = np.asarray(pixel_scores(jnp.asarray(logits), (20, 26), EXTENTS, EXTENTS, mirrored, average=average))
    assert np.isfinite(found).all()
    for i, (height, width) in enumerate(EXTENTS):
        own = images[i, :height, :width]
        expected = np.log(softmax(own, -1)) if average == "probabilities" else own
        np.testing.assert_allclose(found[i, :height, :width], expected, atol=1e-5)
