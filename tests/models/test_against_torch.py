"""Whole networks against the same networks of PyTorch's layers: outputs, running statistics and gradients.

With 7 classes, and mostly on the smallest images that leave a classifier something to see.
"""

from typing import Any

import flax.linen as nn
import pytest
from torch_agreement import assert_agreement
from torch_alexnet import AlexNet, alexnet_owt
from torch_googlenet import GoogLeNet
from torch_resnet import of_twenty_layers, resnet18, resnet50
from torch_vgg import VGG

from convnets import models

GRAY_LEVELS = 64.0
"""Deviation of the images where there are local response norms, of which small responses hardly show anything."""

both_modes = pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])


def network(name: str, side: int, **options: Any) -> nn.Module:
    return models.create(name, 7, image_size=side, **options)


@pytest.mark.parametrize(("groups", "lrn", "order"), [(1, "after_pool", "PL"), (2, "before_pool", "LP")])
def test_alexnet_in_one_column_and_in_two(groups, lrn, order):
    ours = network("alexnet", 99, groups=groups, lrn=lrn, dropout=0.0)
    theirs = AlexNet(7, 2, groups=groups, order=order)
    assert_agreement(ours, theirs, (2, 99, 99, 3), train=True, deviation=GRAY_LEVELS)


def test_alexnet_of_one_weird_trick():
    assert_agreement(network("alexnet_owt", 96, dropout=0.0), alexnet_owt(7, 2), (2, 96, 96, 3), train=True)


@pytest.mark.parametrize(
    ("name", "configuration", "side"),
    [("vgg11", "A", 64), ("vgg_a_lrn", "A-LRN", 32), ("vgg_c", "C", 32), ("vgg16", "D", 32)],
)
def test_vgg(name, configuration, side):
    ours, theirs = network(name, side, dropout=0.0), VGG(configuration, 7, side // 32)
    gradients = name in ("vgg11", "vgg16")
    assert_agreement(ours, theirs, (2, side, side, 3), train=True, gradients=gradients, deviation=GRAY_LEVELS)


@pytest.mark.parametrize(
    ("name", "side", "theirs"), [("alexnet", 99, lambda: AlexNet(7, 2)), ("vgg11", 64, lambda: VGG("A", 7, 2))]
)
def test_dropout_is_off_in_evaluation(name, side, theirs):
    """At its usual rate on our side, and without any on the other."""
    assert_agreement(network(name, side), theirs(), (2, side, side, 3), train=False, gradients=False)


@both_modes
@pytest.mark.parametrize(("name", "configuration"), [("vgg11_bn", "A")])
def test_vgg_with_batch_norms(name, configuration, train):
    ours, theirs = network(name, 32, dropout=0.0), VGG(configuration, 7, 1, epsilon=1e-5)
    assert_agreement(ours, theirs, (4, 32, 32, 3), train=train, gradients=train)


def test_googlenet_with_its_auxiliary_classifiers_in_training():
    ours = network("googlenet", 80, dropout=0.0, auxiliary_dropout=0.0)
    assert_agreement(
        ours, GoogLeNet(7, variant=False, side=1), (2, 80, 80, 3), train=True, deviation=GRAY_LEVELS, seed=15
    )


@pytest.mark.parametrize(("name", "side", "deviation"), [("googlenet", 1, GRAY_LEVELS), ("googlenet_bn", 4, 1.0)])
def test_googlenet_without_them_in_evaluation(name, side, deviation):
    ours, theirs = network(name, 80), GoogLeNet(7, variant=name == "googlenet_bn", side=side)
    assert_agreement(ours, theirs, (2, 80, 80, 3), train=False, gradients=False, deviation=deviation)


@both_modes
def test_resnet_of_basic_blocks(train):
    assert_agreement(network("resnet18", 64), resnet18(7), (4, 64, 64, 3), train=train)


@both_modes
@pytest.mark.parametrize(("name", "stride_in"), [("resnet50", "1x1"), ("resnet50_v1_5", "3x3")])
def test_resnet_of_bottlenecks(name, stride_in, train):
    """With the gradients of one of them: bottlenecks of both kinds are held by themselves as well."""
    gradients = train and stride_in == "3x3"
    assert_agreement(network(name, 64), resnet50(7, stride_in), (4, 64, 64, 3), train=train, gradients=gradients)


@both_modes
@pytest.mark.parametrize(("name", "shortcut"), [("resnet20", "A"), ("plain20", "")])
def test_networks_of_twenty_layers(name, shortcut, train):
    assert_agreement(network(name, 32), of_twenty_layers(7, shortcut), (4, 32, 32, 3), train=train)


def test_images_of_224_pixels_in_evaluation():
    theirs = alexnet_owt(7, 6, dropout=0.5)
    assert_agreement(models.create("alexnet_owt", 7), theirs, (2, 224, 224, 3), train=False, gradients=False)
