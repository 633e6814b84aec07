"""Initial weights: the variance that the papers derive, and interpolation against JAX's resizing, SciPy and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from convnets.errors import InvalidValue
from convnets.layers import Convolution, FullyConnected, TransposedConvolution
from convnets.layers.initializers import bilinear, he_normal, lecun_normal, nearest


@pytest.mark.parametrize(("initializer", "gain"), [(he_normal, 2.0), (lecun_normal, 1.0)])
@pytest.mark.parametrize("shape", [(3, 3, 64, 128), (5, 4, 16, 200), (1, 1, 300, 250)])
def test_weights_are_normal_with_the_variance_of_the_paper(initializer, gain, shape):
    """Of n normal numbers the measured variance is off by sqrt(2 / n) of itself, here 0.6 % and less."""
    height, width, channels, _ = shape
    weights = np.asarray(initializer(jax.random.key(0, impl="rbg"), shape, jnp.float32), np.float64).ravel()
    deviation = np.sqrt(gain / (height * width * channels))
    assert np.mean(weights**2) == pytest.approx(deviation**2, rel=0.03)
    assert abs(weights.mean()) < 5 * deviation / np.sqrt(weights.size)
    # Of a normal distribution 0.27 % lies beyond three deviations; one cut at two deviations has nothing there.
    assert np.mean(np.abs(weights) > 3 * deviation) == pytest.approx(0.0027, rel=0.5)


@pytest.mark.parametrize(
    "layer", [Convolution(200, 5), FullyConnected(200, (5, 5))], ids=lambda layer: layer.__class__.__name__
)
def test_layers_start_by_he_et_al_and_without_bias(layer):
    params = jax.jit(layer.init)(jax.random.key(0, impl="rbg"), jnp.zeros((1, 5, 5, 16)))["params"]
    assert float(np.var(params["kernel"])) == pytest.approx(2 / (5 * 5 * 16), rel=0.03)
    np.testing.assert_array_equal(params["bias"], np.zeros(200))


@pytest.mark.parametrize(
    ("initializer", "activation"), [(he_normal, jax.nn.relu), (lecun_normal, lambda x: x)], ids=["relu", "linear"]
)
def test_the_mean_square_of_responses_neither_grows_nor_fades_over_ten_layers(initializer, activation):
    """With the other one's variance it would be 2^10 times more, or less."""

    def layer(x, key):
        return activation(x) @ initializer(key, (512, 512)), None

    x = np.random.default_rng(0).normal(size=(64, 512)).astype(np.float32)
    y, _ = jax.lax.scan(layer, x, jax.random.split(jax.random.key(1, impl="rbg"), 10))
    assert 1 / 3 < np.mean(np.square(y)) / np.mean(np.square(x)) < 3


IMAGE = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)


def upsampled(size, stride, padding, initializer):
    layer = TransposedConvolution(3, size, stride, padding, kernel_init=initializer)
    return layer.init_with_output(jax.random.key(0), IMAGE)[0]


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(1, 1, 0), (4, 2, 1), (5, 3, 1), (8, 4, 2), (9, 5, 2), (16, 8, 4)]
)
def test_bilinear_resizes_as_jax_does_but_for_the_border(size, stride, padding):
    y = upsampled(size, stride, padding, bilinear)
    expected = jax.image.resize(IMAGE, (2, 5 * stride, 6 * stride, 3), "bilinear")
    assert y.shape == expected.shape
    inner = slice(stride // 2, -(stride // 2) or None)
    np.testing.assert_allclose(y[:, inner, inner], expected[:, inner, inner], atol=1e-5)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_odd_bilinear_filters_interpolate_between_the_entries_everywhere(stride):
    y = upsampled(2 * stride - 1, stride, stride - 1, bilinear)
    between = [np.linspace(0, length - 1, (length - 1) * stride + 1) for length in (5, 6)]
    interpolator = RegularGridInterpolator((np.arange(5), np.arange(6)), np.moveaxis(IMAGE, 0, 2))
    expected = np.moveaxis(interpolator(tuple(np.meshgrid(*between, indexing="ij"))), 2, 0)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_allclose(y[:, ::stride, ::stride], IMAGE, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2, 3, 8])
def test_nearest_repeats_pixels(stride):
    expected = np.repeat(np.repeat(IMAGE, stride, 1), stride, 2)
    np.testing.assert_allclose(upsampled(stride, stride, 0, nearest), expected, rtol=1e-6)


@pytest.mark.parametrize("initializer", [bilinear, nearest])
def test_each_channel_goes_to_its_own(initializer):
    kernel = np.asarray(initializer(None, (4, 4, 3, 3), jnp.bfloat16).astype(jnp.float32))
    assert np.count_nonzero(kernel) == 3 * 16
    for c in range(3):
        np.testing.assert_array_equal(kernel[:, :, c, c], kernel[:, :, 0, 0])
        assert (kernel[:, :, c, c] > 0).all()
    assert initializer(None, (4, 4, 3, 3), jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize("initializer", [bilinear, nearest])
def test_what_keeps_no_channel_as_it_is_is_refused(initializer):
    sentence = (
        f"^{initializer.__name__} interpolation keeps the channels as they are, and was to take 3 of them to 5: make"
    )
    with pytest.raises(InvalidValue, match=sentence):
        jax.eval_shape(
            TransposedConvolution(5, 4, 2, 1, kernel_init=initializer).init, jax.random.key(0), jnp.zeros((1, 3, 3, 3))
        )
    with pytest.raises(InvalidValue, match="has square filters, and was given 4 x 3"):
        initializer(None, (4, 3, 2, 2))
