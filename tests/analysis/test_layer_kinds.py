"""What layers are called."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import Array
from small_networks import Functional, Output, convolution

from convnets.analysis.summary import summarize
from convnets.layers import TransposedConvolution


class MaxPool(nn.Module):
    """A pool that is a module."""

    def __call__(self, x: Array) -> Array:
        return nn.max_pool(x, (3, 2), (2, 2))


class LRN(nn.Module):
    """Sums over neighbouring channels, by a window."""

    def __call__(self, x: Array) -> Array:
        return x / (1 + nn.avg_pool(jnp.square(x)[..., None], (1, 1, 3), (1, 1, 1), "SAME")[..., 0])


class PReLU(nn.Module):
    """Works entry by entry, but owns a parameter."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return jnp.where(x > 0, x, self.param("slope", nn.initializers.zeros, ()) * x)


class ReLU(nn.Module):
    """Works entry by entry."""

    def __call__(self, x: Array) -> Array:
        return nn.relu(x)


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (lambda m, x: convolution(m, x, 11, 4), ["convolution 11×11/4"]),
        (lambda m, x: convolution(m, x, (1, 7), (2, 1)), ["convolution 1×7/2×1"]),
        (lambda m, x: convolution(m, x, 3, dilation=2, groups=2), ["convolution 3×3/1, dilation 2, 2 groups"]),
        (lambda m, x: TransposedConvolution(5, 4, 2, 1, parent=m)(x), ["transposed convolution 4×4/2"]),
        (
            lambda m, x: TransposedConvolution(5, 3, 2, dilation=3, parent=m)(x),
            ["transposed convolution 3×3/2, dilation 3"],
        ),
        (lambda m, x: TransposedConvolution(5, 3, parent=m)(x), ["transposed convolution 3×3/1"]),
        (lambda m, x: nn.ConvTranspose(5, (3, 4), (2, 1), parent=m)(x), ["transposed convolution 3×4/2×1"]),
        (lambda m, x: nn.max_pool(x, (3, 3), (2, 2)), ["max pool 3×3/2"]),
        (lambda m, x: nn.avg_pool(x, (7, 7)), ["average pool 7×7/1"]),
        (lambda m, x: x.max((1, 2)), ["global max pool"]),
        (lambda m, x: jnp.mean(x.reshape(len(x), -1, 4), 1), ["global average pool"]),
        (lambda m, x: jnp.mean(x, (1, 2), keepdims=True), ["global average pool"]),
        (lambda m, x: nn.avg_pool(x, (2, 2)) * 4, ["average pool 2×2/1"]),
        (lambda m, x: nn.pooling.pool(x, 0.0, jax.lax.add, (2, 2), (2, 2), "VALID") + 1, ["sum pool 2×2/2"]),
        (lambda m, x: x.sum((1, 2)), ["global sum pool"]),
        (lambda m, x: MaxPool(name="pool", parent=m)(x), ["max pool 3×2/2"]),
        (lambda m, x: LRN(name="lrn", parent=m)(x), ["LRN"]),
        (lambda m, x: PReLU(name="prelu", parent=m)(ReLU(name="relu", parent=m)(x)), ["PReLU"]),
        (lambda m, x: nn.Dropout(0.5, deterministic=True, parent=m)(x[:, ::2]), []),
    ],
)
def test_kinds_are_said_in_words(function, kinds):
    assert [row.kind for row in summarize(Functional(function), (32, 32, 4))] == kinds


def test_pools_are_numbered_around_the_modules_that_have_such_names():
    def network(module, x):
        x = Output(name="pool1", parent=module)(nn.max_pool(x, (2, 2), (2, 2)))
        return nn.max_pool(x, (2, 2), (2, 2))

    assert [row.path for row in summarize(Functional(network), (8, 8, 3))] == ["pool2", "pool1", "pool3"]
