"""Networks handed to torchvision's: the same state, and a sentence where it has no such network."""

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from published import CLOSE, by_torch
from safetensors.numpy import save_file
from safetensors.torch import load_file
from small_variables import by_name, shapes_of, variables_of
from torch_arrays import relative_difference, torch
from torchvision_networks import RESNETS, VGG, AlexNet, BasicBlock, GoogLeNet, ResNet

from convnets import models
from convnets.layers import BatchNorm, implementation
from convnets.pretrained.conversion import convert
from convnets.pretrained.files import read_weights
from convnets.pretrained.writing import difference_from_torchvision, torchvision_state

NETWORKS = {
    "alexnet_owt": AlexNet,
    "vgg11_bn": lambda: VGG(11, batch_norm=True),
    "googlenet_bn": GoogLeNet,
    "resnet34": RESNETS["resnet34"],
    "resnet50_v1_5": RESNETS["resnet50"],
}


def difference(name: str, channels: int = 3, **options: Any) -> str:
    network = models.create(name, 10, **options)
    return difference_from_torchvision(name, network, shapes_of(network, channels))


@pytest.mark.parametrize("name", [*NETWORKS, "googlenet_bn without auxiliary classifiers"])
def test_the_state_has_the_names_shapes_and_types_of_torchvisions(name):
    name, _, without = name.partition(" ")
    network = models.create(name, 1000, **({"auxiliary": False} if without else {}))
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes_of(network))
    assert difference_from_torchvision(name, network, variables) == ""
    with torch.device("meta"):
        expected = {key: (tuple(x.shape), str(x.dtype)) for key, x in NETWORKS[name]().state_dict().items()}
    state = torchvision_state(name, variables)
    assert {key: (array.shape, f"torch.{array.dtype}") for key, array in state.items()} == {
        key: kind for key, kind in expected.items() if not (without and key.startswith("aux"))
    }


def test_a_network_of_ten_classes_for_small_images_is_loaded_strictly_and_says_the_same(tmp_path):
    ours, theirs = models.create("resnet18", 10, image_size=64), ResNet(BasicBlock, [2, 2, 2, 2], 10)
    variables = variables_of(ours)
    state = torchvision_state("resnet18", variables)
    save_file(state, tmp_path / "resnet18.safetensors", metadata={"format": "pt"})
    theirs.load_state_dict(load_file(tmp_path / "resnet18.safetensors"), strict=True)
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    with implementation.use("plain"):
        logits, _ = jax.jit(ours.apply)(variables, images)
    assert relative_difference(logits, by_torch(theirs.eval(), images)["logits"]) < CLOSE

    imported = convert(read_weights(str(tmp_path / "resnet18.safetensors")), "resnet18")
    back, given = by_name(imported.variables), by_name(variables)
    assert imported.left_over == {} and back.keys() == given.keys()
    assert all(np.array_equal(back[name], given[name]) for name in given)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"remat": True, "zero_init": True, "dtype": "bfloat16", "image_size": 32}),
        ("resnet50_v1_5", {"image_size": 256}),
        ("vgg13", {"dropout": 0.1, "image_size": 250}),
        ("googlenet_bn", {"dropout": 0.0, "auxiliary_dropout": 0.5, "image_size": 96}),
        ("resnet34", {"norm": partial(BatchNorm, momentum=0.99, axis_name="devices", epsilon=1e-5)}),
        ("googlenet_bn", {"norm": partial(partial(BatchNorm, epsilon=1e-3), momentum=0.5)}),
    ],
)
def test_options_that_leave_the_function_and_its_arrays_alone_make_no_difference(name, options):
    assert difference(name, **options) == ""


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("lenet5_bn", {"channels": 1}, "torchvision has no lenet5_bn"),
        ("resnet50", {}, "torchvision has no resnet50"),
        ("googlenet", {}, "torchvision has no googlenet"),
        ("vgg_c", {}, "torchvision has no vgg_c"),
        ("resnet18", {"stem": "small"}, "torchvision's resnet18 has stem imagenet, not small"),
        ("resnet18", {"stem_pool": "ceil"}, "torchvision's resnet18 has stem_pool padded, not ceil"),
        ("resnet18", {"shortcut": "A"}, "torchvision's resnet18 has shortcut B, not A"),
        ("resnet18", {"width": 0.5}, "torchvision's resnet18 has filters 64, not 32"),
        ("alexnet_owt", {"width": 0.5}, "torchvision's alexnet_owt has width 1.0, not 0.5"),
        # The same arrays, and another function.
        ("vgg11", {"stem": "small", "image_size": 112}, "torchvision's vgg11 has stem imagenet, not small"),
        (
            "resnet18",
            {"norm": partial(BatchNorm, epsilon=1e-3)},
            "torchvision's resnet18 has epsilon of batch norm 1e-05, not 0.001",
        ),
        (
            "googlenet_bn",
            {"norm": BatchNorm},
            "torchvision's googlenet_bn has epsilon of batch norm 0.001, not 1e-05",
        ),
        # The same function, and other arrays.
        (
            "vgg11",
            {"image_size": 32},
            "torchvision's vgg11 has fc6/kernel [7, 7, 512, 4096], not [1, 1, 512, 4096]",
        ),
        (
            "resnet18",
            {"channels": 1},
            "torchvision's resnet18 has conv1/convolution/kernel [7, 7, 3, 64], not [7, 7, 1, 64]",
        ),
        (
            "resnet18",
            {"image_size": 32, "norm": partial(BatchNorm, per="location")},
            "torchvision's resnet18 has conv1/norm/mean [64], not [16, 16, 64]",
        ),
    ],
)
def test_a_network_that_torchvision_has_not_is_told_apart_and_why(name, options, said):
    assert difference(name, **options) == said
