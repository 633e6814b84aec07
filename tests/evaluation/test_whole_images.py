"""Images of their own sizes within larger arrays, scaled and mirrored, against Pillow on each of them alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convnets.evaluation.whole_images import resample, scaled_extents, score_pixels
from PIL import Image
from scipy.special import softmax

EXTENTS = np.array([[20, 26], [9, 26], [20, 11], [1, 1]], np.int32)


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(4, 20, 26, 2)).astype(np.float32)


def by_pillow(image, size):
    return np.stack(
        [
            np.asarray(Image.fromarray(image[..., channel]).resize(size[::-1], Image.Resampling.BILINEAR))
            for channel in range(image.shape[-1])
        ],
        -1,
    )


@pytest.mark.parametrize("size", [(30, 39), (10, 13), (20, 26), (24, 17)])
@pytest.mark.parametrize("mirrored", [0, 1])
def test_each_image_is_scaled_as_if_it_were_alone(images, size, mirrored):
    wanted = np.asarray(scaled_extents(jnp.asarray(EXTENTS), (20, 26), size))
    assert wanted[0].tolist() == list(size) and wanted.min() > 0
    found = np.asarray(resample(*map(jnp.asarray, (images,)), size, EXTENTS, wanted, jnp.float32(mirrored)))
    assert found.shape == (4, *size, 2)
    for image, given, own, new in zip(images, found, EXTENTS, wanted, strict=True):
        alone = image[: own[0], : own[1]]
        expected = by_pillow(alone[:, ::-1] if mirrored else alone, tuple(new))
        np.testing.assert_allclose(given[: new[0], : new[1]], expected, atol=3e-5)


def test_an_image_that_fills_its_array_is_scaled_as_jax_scales_it(images):
    full, wanted = jnp.tile(jnp.array([[20, 26]]), (4, 1)), jnp.tile(jnp.array([[13, 40]]), (4, 1))
    found = resample(jnp.asarray(images), (13, 40), full, wanted, jnp.float32(0))
    expected = jax.image.resize(images, (4, 13, 40, 2), "linear", antialias=True)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_scores_of_a_mirrored_view_come_back_to_their_pixels(images, average):
    """At the images' own scale nothing is interpolated."""
    logits = images.copy()
    for i, (height, width) in enumerate(EXTENTS):
        logits[i, :height, :width] = images[i, :height, :width][:, ::-1]
    found = np.asarray(score_pixels(jnp.asarray(logits), (20, 26), EXTENTS, EXTENTS, jnp.float32(1), average))
    assert np.isfinite(found).all()
    for i, (height, width) in enumerate(EXTENTS):
        own = images[i, :height, :width]
        expected = np.log(softmax(own, -1)) if average == "probabilities" else own
        np.testing.assert_allclose(found[i, :height, :width], expected, atol=1e-5)
