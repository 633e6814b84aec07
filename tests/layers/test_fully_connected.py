"""The fully connected layer: a matrix product on its own map, a convolution on a larger one."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from convnets.errors import InvalidValue
from convnets.layers import Convolution, FullyConnected
from convnets.layers.fully_connected import squeeze_map

windows = pytest.mark.parametrize("window", [(1, 1), (3, 3), (2, 4), (5, 1)])


def layer_and_variables(window: tuple[int, int], channels: int = 3) -> tuple[FullyConnected, dict]:
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(*window, channels, 4)), random.normal(size=4)
    params = {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
    return FullyConnected(4, window), {"params": params}


def images(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, height, width, channels)).astype(np.float32)


@windows
def test_on_a_map_of_its_window_it_is_the_matrix_product_of_all_pixels(window):
    layer, variables = layer_and_variables(window)
    x = images(*window)
    weights = variables["params"]["kernel"].reshape(-1, 4).astype(np.float64)
    expected = x.reshape(2, -1) @ weights + variables["params"]["bias"]
    y = layer.apply(variables, x)
    assert y.shape == (2, 1, 1, 4)
    np.testing.assert_allclose(y[:, 0, 0], expected, rtol=1e-4, atol=1e-5)


@windows
def test_on_a_larger_map_it_says_what_it_would_of_every_window(window):
    layer, variables = layer_and_variables(window)
    height, width = window[0] + 2, window[1] + 1
    x = images(height, width)
    y = layer.apply(variables, x)
    assert y.shape == (2, 3, 2, 4)
    for top in range(3):
        for left in range(2):
            alone = layer.apply(variables, x[:, top : top + window[0], left : left + window[1]])
            np.testing.assert_allclose(y[:, top, left], alone[:, 0, 0], rtol=1e-4, atol=1e-5)


def test_a_map_larger_in_one_direction_alone_is_a_convolution_too():
    layer, variables = layer_and_variables((3, 2))
    x = images(3, 5)
    y = layer.apply(variables, x)
    kernel = variables["params"]["kernel"]
    expected = [[correlate(image, kernel[..., f], mode="valid")[:, :, 0] for f in range(4)] for image in x]
    expected = np.moveaxis(np.array(expected), 1, -1) + variables["params"]["bias"]
    assert y.shape == expected.shape == (2, 1, 4, 4)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_its_parameters_fit_a_convolution_of_the_same_size():
    layer, variables = layer_and_variables((3, 3))
    x = images(6, 5)
    np.testing.assert_allclose(layer.apply(variables, x), Convolution(4, 3).apply(variables, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("use_bias", [True, False])
def test_parameters_keep_the_window(use_bias):
    layer = FullyConnected(7, (5, 6), use_bias=use_bias)
    params = jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, 5, 6, 2)))["params"]
    shapes = {"kernel": (5, 6, 2, 7)} | ({"bias": (7,)} if use_bias else {})
    assert {name: value.shape for name, value in params.items()} == shapes


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_a_map_smaller_than_the_window_is_refused_by_the_layers_name(shape):
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            return FullyConnected(2, (5, 5), name="fc3")(x)

    sentence = f"the fully connected layer 'fc3' sees a 5 x 5 map and was given {shape[0]} x {shape[1]}: use a larger"
    with pytest.raises(InvalidValue, match=sentence):
        Network().init(jax.random.key(0), jnp.zeros((1, *shape, 1)))


@pytest.mark.parametrize("side", [5, 6])
def test_bfloat16_computes_with_float32_parameters(side):
    exact, variables = layer_and_variables((5, 5))
    layer, x = FullyConnected(4, (5, 5), dtype=jnp.bfloat16), images(side, side)
    initial = jax.eval_shape(layer.init, jax.random.key(0), x)
    assert {p.dtype for p in jax.tree.leaves(initial)} == {jnp.dtype("float32")}
    y = layer.apply(variables, x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), exact.apply(variables, x), rtol=0.05, atol=0.2)


def test_one_window_of_logits_is_squeezed_and_a_map_of_them_is_not():
    logits = jnp.arange(6.0).reshape(2, 1, 1, 3)
    np.testing.assert_array_equal(squeeze_map(logits), [[0, 1, 2], [3, 4, 5]])
    for shape in [(2, 2, 1, 3), (2, 1, 2, 3), (2, 3, 3, 3)]:
        assert squeeze_map(jnp.zeros(shape)).shape == shape
