"""Residual blocks, Inception modules and auxiliary classifiers against those of PyTorch's layers."""

import jax
import numpy as np
import pytest
from torch_agreement import CLOSE, assert_agreement
from torch_arrays import channels_last, relative_difference, to_torch, torch
from torch_googlenet import Auxiliary, Inception
from torch_resnet import basic, bottleneck

from convnets.layers import BatchNorm
from convnets.models import googlenet
from convnets.models.resnet import Block

both_modes = pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])
shortcuts = pytest.mark.parametrize("shortcut", ["A", "B", "C", "none"])

CHANGES = [(16, 16, 1), (8, 16, 1), (16, 16, 2), (8, 16, 2)]
"""Channels, features and stride: of the same shape, of more filters, of half the size, of both."""


def block(features, stride, shortcut, *, stride_in=None, zero_init=False):
    """One of ours: of two 3x3 convolutions, or a bottleneck that has its stride in one of its convolutions."""
    return Block(
        features,
        stride,
        bottleneck=stride_in is not None,
        stride_in=stride_in or "",
        shortcut=shortcut,
        zero_init=zero_init,
        norm=BatchNorm,
        dtype=np.float32,
    )


@both_modes
@shortcuts
@pytest.mark.parametrize(("channels", "features", "stride"), CHANGES)
def test_basic_block(channels, features, stride, shortcut, train):
    theirs = basic(channels, features, stride, shortcut.removeprefix("none"))
    assert_agreement(block(features, stride, shortcut), theirs, (4, 7, 6, channels), train=train)


@both_modes
@pytest.mark.parametrize("stride_in", ["1x1", "3x3"])
@pytest.mark.parametrize(("shortcut", "channels", "stride"), [("A", 8, 2), ("B", 16, 1), ("B", 16, 2), ("C", 16, 1)])
def test_bottleneck(shortcut, channels, stride, stride_in, train):
    theirs = bottleneck(channels, 16, stride, shortcut, stride_in)
    assert_agreement(block(16, stride, shortcut, stride_in=stride_in), theirs, (4, 7, 6, channels), train=train)


@pytest.mark.parametrize("stride_in", [None, "1x1"], ids=["basic", "bottleneck"])
@pytest.mark.parametrize(("shortcut", "stride"), [("A", 2), ("B", 1), ("B", 2), ("C", 1)])
def test_a_last_scale_of_zero_starts_a_block_as_its_shortcut(shortcut, stride, stride_in):
    x = np.random.default_rng(0).normal(size=(4, 7, 6, 16)).astype(np.float32)
    ours = block(16, stride, shortcut, stride_in=stride_in, zero_init=True)
    variables = jax.jit(lambda: ours.init(jax.random.key(0), x, train=True))()
    given, _ = jax.jit(lambda: ours.apply(variables, x, train=True, mutable=["batch_stats"]))()

    around = basic(16, 16, stride, shortcut).projection.double()
    with torch.no_grad():
        if "projection" in variables["params"]:
            kernel = np.array(variables["params"]["projection"]["convolution"]["kernel"])
            around.convolution.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1)))
        expected = channels_last(torch.relu(around(to_torch(x))))
    assert relative_difference(given, expected) <= CLOSE

    scales = {name: np.unique(part["norm"]["scale"]).tolist() for name, part in variables["params"].items()}
    last = "conv2" if stride_in is None else "conv3"
    assert scales == {name: [0.0] if name == last else [1.0] for name in scales}


@both_modes
@pytest.mark.parametrize("shape", [(2, 6, 5), (4, 3, 4)])
@pytest.mark.parametrize("variant", [False, True], ids=["paper", "variant"])
def test_inception(variant, shape, train):
    """The paper's 5x5 filters, and the variant's 3x3 in their place and batch norms."""
    filters, large = (5, 4, 6, 3, 7, 2), 3 if variant else 5
    ours = googlenet.Inception(filters, large, googlenet.PUBLISHED_NORM if variant else None)
    theirs = Inception((8, *filters), large, 1e-3 if variant else None)
    assert_agreement(ours, theirs, (*shape, 8), train=train)


@both_modes
@pytest.mark.parametrize(("height", "width"), [(14, 14), (15, 16)])
def test_auxiliary_classifier_of_the_paper(height, width, train):
    """Of a map of 14 x 14 its pool leaves 4 x 4; a row or column beyond changes nothing."""
    ours = googlenet.AuxiliaryClassifier(7, 4, adaptive=False, dropout=0.0)
    assert_agreement(ours, Auxiliary(16, 7, 4, adaptive=False), (2, height, width, 16), train=train)


@both_modes
@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 7), (14, 14)])
def test_auxiliary_classifier_of_the_variant(height, width, train):
    """Its pool leaves 4 x 4 of any map."""
    ours = googlenet.AuxiliaryClassifier(7, 4, adaptive=True, dropout=0.0, norm=googlenet.PUBLISHED_NORM)
    assert_agreement(ours, Auxiliary(16, 7, 4, adaptive=True, epsilon=1e-3), (2, height, width, 16), train=train)
