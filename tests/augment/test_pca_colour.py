"""AlexNet's offset of colour: its distribution, against NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from convnets.augment.colour import IMAGENET_COMPONENTS, IMAGENET_EIGENVALUES, pca_colour
from convnets.errors import InvalidValue


@functools.partial(jax.jit, static_argnames=("count", "deviation", "components"))
def results(image: np.ndarray, count: int, **options: object) -> jax.Array:
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
    offsets = np.asarray(results(middle(), count))[:, 0, 0].astype(np.float64) - 0.5
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
    offsets = np.asarray(results(middle(), 50, components=components, deviation=0.5))[:, 0, 0] - 0.5
    np.testing.assert_allclose(offsets, offsets[:, :1] / 0.3 * np.array(components[0]), atol=1e-6)
    assert offsets[:, 0].std() > 0.05


def test_the_whole_image_gets_one_offset_and_is_clipped():
    image = np.random.default_rng(0).uniform(size=(5, 4, 3)).astype(np.float32)
    offsets = np.asarray(results(middle(), 30, deviation=1.0))[:, :1, :1] - 0.5
    changed = np.asarray(results(image, 30, deviation=1.0))
    seen = np.abs(offsets).max((1, 2, 3)) < 0.5
    assert seen.sum() > 5
    np.testing.assert_allclose(changed[seen], np.clip(image + offsets[seen], 0, 1), atol=1e-6)
    assert (changed == 0).any() and (changed == 1).any()


@pytest.mark.parametrize(("channels", "dtype"), [(1, jnp.float32), (3, jnp.bfloat16), (5, jnp.float32)])
def test_shape_type_and_range_stay_and_one_key_gives_one_result(channels, dtype):
    image = jnp.asarray(np.random.default_rng(0).uniform(size=(5, 4, channels)), dtype)
    components = tuple(map(tuple, (0.5 * np.eye(channels)).tolist()))
    images = results(image, 4, components=components, deviation=0.2)
    assert images.shape == (4, *image.shape) and images.dtype == dtype
    assert images.min() >= 0 and images.max() <= 1
    one = jax.jit(lambda key: pca_colour(key, {"image": image}, components=components, deviation=0.2)["image"])
    np.testing.assert_array_equal(one(jax.random.key(3)), images[3])
    assert len({np.asarray(changed).tobytes() for changed in images}) == 4


def test_without_deviation_nothing_is_changed():
    image = np.random.default_rng(0).uniform(size=(5, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(results(image, 2, deviation=0.0), np.stack([image] * 2))


def test_images_of_other_channels_are_refused_with_the_way_out():
    with pytest.raises(
        InvalidValue, match=r"components of 3 channels for images of 1: leave .* `launch.py statistics`"
    ):
        pca_colour(jax.random.key(0), {"image": middle(1)})


@pytest.mark.parametrize("deviation", [-0.1, float("nan"), float("inf")])
def test_what_is_no_deviation_is_refused(deviation):
    with pytest.raises(InvalidValue, match=f"the deviation of pca_colour must .* and is {deviation}"):
        pca_colour(jax.random.key(0), {"image": middle()}, deviation=deviation)


@pytest.mark.parametrize("components", [(), 0.5, ((1.0, 2.0),), ((float("nan"),),), (("a",),), (1.0, 2.0, 3.0)])
def test_what_are_no_components_is_refused(components):
    with pytest.raises(InvalidValue, match="the components of pca_colour are"):
        pca_colour(jax.random.key(0), {"image": middle()}, components=components)
