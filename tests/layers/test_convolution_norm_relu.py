"""Convolution, norm and ReLU in one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.layers import BatchNorm, Convolution, ConvolutionNormReLU
from convnets.layers.initializers import zeros

X = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_it_is_its_parts_one_after_another(relu, train):
    unit = ConvolutionNormReLU(5, 3, 2, 1, norm=BatchNorm, relu=relu)
    variables = unit.init(jax.random.key(0), X, False)
    y, changed = unit.apply(variables, X, train, mutable=["batch_stats"])
    convolved = Convolution(5, 3, 2, 1, use_bias=False).apply({"params": variables["params"]["convolution"]}, X)
    norm = {"params": variables["params"]["norm"], "batch_stats": variables["batch_stats"]["norm"]}
    expected, moved = BatchNorm().apply(norm, convolved, train, mutable=["batch_stats"])
    # In evaluation the compiled kernels round once where the parts round thrice.
    np.testing.assert_allclose(y, np.maximum(expected, 0) if relu else expected, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"]["norm"], moved["batch_stats"])


@pytest.mark.parametrize(
    ("norm", "use_bias", "parameters"),
    [
        (None, None, {"convolution": {"kernel", "bias"}}),
        (BatchNorm, None, {"convolution": {"kernel"}, "norm": {"scale", "bias"}}),
        (BatchNorm, True, {"convolution": {"kernel", "bias"}, "norm": {"scale", "bias"}}),
        (None, False, {"convolution": {"kernel"}}),
    ],
)
def test_a_bias_is_left_out_where_a_norm_would_cancel_it(norm, use_bias, parameters):
    unit = ConvolutionNormReLU(5, 3, norm=norm, use_bias=use_bias)
    params = jax.eval_shape(lambda: unit.init(jax.random.key(0), X, False))["params"]
    assert {name: set(layer) for name, layer in params.items()} == parameters


def test_the_scale_of_the_norm_can_begin_at_zero():
    unit = ConvolutionNormReLU(5, 3, norm=BatchNorm, scale_init=zeros)
    variables = unit.init(jax.random.key(0), X, False)
    np.testing.assert_array_equal(unit.apply(variables, X, False), 0)


def test_the_type_is_that_of_the_computation():
    unit = ConvolutionNormReLU(5, 3, norm=BatchNorm, dtype=jnp.bfloat16)
    variables = unit.init(jax.random.key(0), X, False)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert unit.apply(variables, X, False).dtype == jnp.bfloat16
