"""Convolution against SciPy's correlation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from convnets.errors import InvalidValue
from convnets.layers import Convolution


def scipy_convolution(x: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """What the lecture draws: each filter laid over each place of the padded image, float64."""
    x = np.pad(x.astype(np.float64), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    responses = [
        [correlate(image, kernel[..., f].astype(np.float64), mode="valid")[:, :, 0] for f in range(kernel.shape[-1])]
        for image in x
    ]
    return np.moveaxis(np.array(responses), 1, -1)[:, ::stride, ::stride]


def arrays(size: int, height: int, width: int, channels: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(size + 10 * height)
    x = random.normal(size=(2, height, width, channels)).astype(np.float32)
    return x, random.normal(size=(size, size, channels, features)).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "stride", "padding", "height", "width"),
    [
        (1, 1, 0, 4, 5),
        (1, 2, 0, 5, 4),
        (2, 1, 1, 4, 3),
        (3, 1, 0, 6, 5),
        (3, 1, 1, 5, 7),
        (3, 2, 1, 7, 8),
        (3, 2, 0, 8, 7),
        (5, 1, 2, 5, 6),
        (5, 3, 4, 5, 3),
        (7, 2, 3, 9, 12),
        (11, 4, 2, 19, 23),
    ],
)
def test_responses_are_scipys(size, stride, padding, height, width):
    x, kernel = arrays(size, height, width, 3, 2)
    bias = np.array([0.5, -2.0], np.float32)
    layer = Convolution(2, size, stride, padding)
    y = layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)
    expected = scipy_convolution(x, kernel, stride, padding) + bias
    assert y.shape == expected.shape
    assert y.shape[1:3] == tuple((side + 2 * padding - size) // stride + 1 for side in (height, width))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_by_default_the_stride_is_one_and_nothing_is_padded():
    x, kernel = arrays(3, 5, 6, 2, 4)
    y = Convolution(4, 3).apply({"params": {"kernel": kernel, "bias": np.zeros(4, np.float32)}}, x)
    np.testing.assert_allclose(y, scipy_convolution(x, kernel, 1, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("use_bias", [True, False])
def test_parameters_are_a_kernel_and_a_bias_where_asked_for(use_bias):
    layer, x = Convolution(7, 3, use_bias=use_bias), jnp.zeros((1, 4, 4, 5))
    params = jax.eval_shape(layer.init, jax.random.key(0), x)["params"]
    shapes = {"kernel": (3, 3, 5, 7)} | ({"bias": (7,)} if use_bias else {})
    assert {name: value.shape for name, value in params.items()} == shapes


def test_bfloat16_computes_with_float32_parameters():
    x, kernel = arrays(3, 6, 6, 3, 2)
    layer = Convolution(2, 3, dtype=jnp.bfloat16)
    initial = jax.eval_shape(layer.init, jax.random.key(0), x)
    assert {p.dtype for p in jax.tree.leaves(initial)} == {jnp.dtype("float32")}
    y = layer.apply({"params": {"kernel": kernel, "bias": np.ones(2, np.float32)}}, x)
    assert y.dtype == jnp.bfloat16
    expected = scipy_convolution(x, kernel, 1, 0) + 1
    np.testing.assert_allclose(y.astype(jnp.float32), expected, rtol=0.02, atol=0.2)


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_each_group_of_filters_sees_its_part_of_the_channels(groups):
    x, _ = arrays(3, 5, 6, 6, 6)
    _, kernel = arrays(3, 5, 6, 6 // groups, 12)
    layer = Convolution(12, 3, padding=1, groups=groups, use_bias=False)
    assert jax.eval_shape(layer.init, jax.random.key(0), x)["params"]["kernel"].shape == kernel.shape
    parts = zip(np.split(x, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True)
    expected = np.concatenate([scipy_convolution(part, filters, 1, 1) for part, filters in parts], axis=-1)
    np.testing.assert_allclose(layer.apply({"params": {"kernel": kernel}}, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("channels", "features"), [(5, 6), (6, 5)])
def test_groups_that_do_not_divide_are_refused(channels, features):
    layer = Convolution(features, 3, groups=2)
    with pytest.raises(InvalidValue, match=f"can't part {channels} channels and {features} filters into 2 groups"):
        jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, 4, 4, channels)))


def test_a_map_smaller_than_the_filters_is_refused():
    layer = Convolution(2, 5, padding=1)
    with pytest.raises(InvalidValue, match="has 5 x 5 filters and was given a map of 2 x 7: use a larger image"):
        jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, 2, 7, 3)))
    jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, 3, 7, 3)))
