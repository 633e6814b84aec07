"""The variance of the initial weights, as the papers derive it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.layers import Convolution, FullyConnected
from convnets.layers.initializers import he_normal, lecun_normal


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
