"""Each layer against PyTorch's: responses, and gradients by the parameters and by the input."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_arrays import channels_last, relative_difference, to_torch, torch

from convnets.layers import (
    BatchNorm,
    Convolution,
    FullyConnected,
    LocalResponseNorm,
    adaptive_average_pool,
    average_pool,
    max_pool,
)

CLOSE = 1e-5


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def weights_like(shape: tuple[int, ...]) -> np.ndarray:
    """What the gradients are of: the responses' sum with these weights."""
    return np.random.default_rng(0).normal(size=shape)


def assert_same(ours: Callable[..., Any], theirs: Callable[..., Any], x: np.ndarray, **params: np.ndarray) -> None:
    """`ours(x, **params)` in float32 against `theirs(x, **params)` in float64, `[N, H, W, C]` against `[N, C, H, W]`.

    The parameters of both are arrays of our shapes.
    """

    def weighted(x: Any, params: Any) -> Any:
        y = ours(x, **params)
        return jnp.sum(y * weights_like(y.shape)), y

    (_, given), slopes = jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True))(x, params)
    pixels = to_torch(x)
    tensors = {name: torch.tensor(value, dtype=torch.float64).requires_grad_() for name, value in params.items()}
    expected = channels_last(theirs(pixels, **tensors))
    assert relative_difference(given, expected.detach()) <= CLOSE
    (expected * torch.tensor(weights_like(given.shape))).sum().backward()
    assert relative_difference(slopes[0], channels_last(pixels.grad)) <= CLOSE
    for name, slope in slopes[1].items():
        assert relative_difference(slope, tensors[name].grad) <= CLOSE, name


@pytest.mark.parametrize(
    ("size", "stride", "padding", "groups", "height", "width"),
    [
        (1, 1, 0, 1, 4, 5),
        (1, 2, 0, 1, 5, 6),
        (3, 1, 1, 1, 5, 7),
        (3, 2, 1, 1, 7, 8),
        (3, 1, 1, 2, 6, 5),
        (3, 2, 0, 4, 8, 7),
        (5, 1, 2, 2, 5, 6),
        (7, 2, 3, 1, 9, 12),
        (11, 4, 2, 1, 19, 23),
    ],
)
def test_convolution(size, stride, padding, groups, height, width):
    ours = Convolution(8, size, stride, padding, groups)

    def theirs(x, kernel, bias):
        return torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, padding, groups=groups)

    assert_same(
        lambda x, **params: ours.apply({"params": params}, x),
        theirs,
        normal(2, height, width, 4),
        kernel=normal(size, size, 4 // groups, 8),
        bias=normal(8),
    )


@pytest.mark.parametrize("window", [(1, 1), (2, 3), (4, 2)])
def test_fully_connected_is_pytorchs_linear_layer_on_a_map_flattened_channels_first(window):
    ours = FullyConnected(5, window)

    def theirs(x, kernel, bias):
        return torch.nn.functional.linear(torch.flatten(x, 1), kernel.permute(3, 2, 0, 1).flatten(1), bias)

    assert_same(
        lambda x, **params: ours.apply({"params": params}, x)[:, 0, 0],
        theirs,
        normal(3, *window, 6),
        kernel=normal(*window, 6, 5),
        bias=normal(5),
    )


@pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(("shape", "epsilon"), [((4, 3, 5, 6), 1e-5), ((2, 2, 1, 3), 1e-3), ((3, 4, 4, 2), 0.25)])
def test_batch_norm_with_a_momentum_of_nine_tenths_where_pytorch_says_one_tenth(shape, epsilon, train):
    """PyTorch's running variance is over n - 1 of the n responses, ours over n."""
    channels, n = shape[-1], np.prod(shape[:-1])
    x = 3 * normal(*shape) + 1
    old = {"mean": normal(channels), "variance": 0.5 + np.square(normal(channels))}
    ours = BatchNorm(epsilon=epsilon)
    norm = torch.nn.BatchNorm2d(channels, eps=epsilon, momentum=0.1).double().train(train)
    norm.running_mean, norm.running_var = (torch.tensor(value).double() for value in old.values())

    def apply(x, **params):
        return ours.apply({"params": params, "batch_stats": old}, x, train=train, mutable=["batch_stats"])[0]

    def theirs(x, scale, bias):
        return torch.func.functional_call(norm, {"weight": scale, "bias": bias}, (x,))

    scale, bias = 1 + 0.3 * normal(channels), normal(channels)
    assert_same(apply, theirs, x, scale=scale, bias=bias)

    variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": old}
    _, new = ours.apply(variables, x, train=train, mutable=["batch_stats"])
    variance = norm.running_var.numpy()
    if train:
        kept = 0.9 * old["variance"]
        variance = kept + (variance - kept) * (n - 1) / n
    assert relative_difference(new["batch_stats"]["mean"], norm.running_mean) <= CLOSE
    assert relative_difference(new["batch_stats"]["variance"], variance) <= CLOSE


@pytest.mark.parametrize(
    ("size", "bias", "alpha", "beta"),
    [(5, 2.0, 1e-4, 0.75), (5, 1.0, 0.02, 0.75), (3, 1.5, 0.3, 0.5), (1, 2.0, 0.1, 1.0)],
)
@pytest.mark.parametrize("channels", [2, 9])
def test_local_response_norm_where_pytorch_divides_alpha_by_the_size(channels, size, bias, alpha, beta):
    x = 30 * normal(2, 3, 4, channels)
    ours = LocalResponseNorm(size, bias, alpha, beta)
    assert_same(lambda x: ours.apply({}, x), torch.nn.LocalResponseNorm(size, alpha * size, beta, bias), x)


def test_by_default_local_response_norm_is_that_of_the_alexnet_paper():
    theirs = torch.nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)
    assert_same(lambda x: LocalResponseNorm().apply({}, x), theirs, 30 * normal(2, 3, 4, 9))


@pytest.mark.parametrize(
    ("size", "stride", "padding", "height", "width"),
    [(2, 2, 0, 6, 7), (3, 2, 0, 7, 8), (3, 2, 1, 6, 7), (3, 1, 1, 4, 5), (3, 2, 1, 112, 4)],
)
def test_max_pool(size, stride, padding, height, width):
    x = normal(2, height, width, 3) - 3
    assert_same(lambda x: max_pool(x, size, stride, padding), torch.nn.MaxPool2d(size, stride, padding), x)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 5), (6, 7), (9, 8), (14, 7)])
def test_a_pixel_of_padding_below_and_right_is_pytorchs_ceil_mode(size, height, width):
    x = normal(2, height, width, 3) - 3
    assert_same(lambda x: max_pool(x, size, 2, (0, 1)), torch.nn.MaxPool2d(size, 2, ceil_mode=True), x)


@pytest.mark.parametrize(
    ("size", "stride", "padding", "height", "width"),
    [(2, 2, 0, 6, 7), (5, 3, 0, 14, 15), (3, 2, 1, 6, 7), (7, 1, 0, 7, 7), (7, 1, 0, 9, 8)],
)
def test_average_pool(size, stride, padding, height, width):
    x = normal(2, height, width, 3)
    assert_same(lambda x: average_pool(x, size, stride, padding), torch.nn.AvgPool2d(size, stride, padding), x)


@pytest.mark.parametrize("size", [1, 2, 4, 6, 7])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (7, 7), (14, 5), (9, 16), (3, 2)])
def test_adaptive_average_pool(size, height, width):
    x = normal(2, height, width, 3)
    assert_same(lambda x: adaptive_average_pool(x, size), torch.nn.AdaptiveAvgPool2d(size), x)
