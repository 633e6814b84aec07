"""Networks of other widths: every layer but the logits has that many times the filters."""

import jax
import pytest
from counting import abstract, outputs

from convnets import models
from convnets.errors import InvalidValue
from convnets.models.sizes import widened

WITH_WIDTH = [name for name in models.architectures if "width" in models.architectures.options(name)]
KINDS = ("alexnet", "alexnet_owt", "vgg_c_bn", "googlenet", "googlenet_bn", "resnet18", "resnet50", "resnet20")


def kernels(network) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(abstract(network)["params"])
    return {jax.tree_util.keystr(path): leaf.shape for path, leaf in leaves if path[-1].key == "kernel"}


def test_all_families_but_the_first_have_a_width():
    assert {type(models.create(name, 10)).__name__ for name in WITH_WIDTH} == {
        "AlexNet",
        "VGG",
        "GoogLeNet",
        "ResNet",
    }
    without = set(models.architectures) - set(WITH_WIDTH)
    assert {type(models.create(name, 10)).__name__ for name in without} == {"LeNet5"}


@pytest.mark.parametrize("name", KINDS)
def test_half_the_width_is_half_the_filters_of_every_layer_but_the_logits(name):
    whole, half = (kernels(models.create(name, 10, width=width)) for width in (1.0, 0.5))
    assert whole.keys() == half.keys()
    for layer, shape in whole.items():
        filters = shape[-1] if "logits" in layer else shape[-1] // 2
        channels = 3 if shape[-2] == 3 else shape[-2] // 2
        assert half[layer] == (*shape[:2], channels, filters), layer


@pytest.mark.parametrize("name", KINDS)
def test_every_network_can_be_as_narrow_as_one_filter(name):
    network = models.create(name, 10, width=1e-6)
    assert outputs(network)[0].shape == (1, 10)
    assert min(shape[-1] for shape in kernels(network).values()) == 1


def test_groups_divide_the_filters_at_any_width():
    network = models.create("alexnet", 10, groups=2, width=1 / 64)
    assert outputs(network)[0].shape == (1, 10)
    assert [shape[-1] for layer, shape in kernels(network).items() if "conv" in layer] == [2, 4, 6, 6, 4]


@pytest.mark.parametrize(
    ("filters", "width", "groups", "expected"),
    [(96, 1.0, 1, 96), (96, 1 / 64, 1, 2), (96, 0.01, 1, 1), (16, 1 / 64, 1, 1), (96, 1 / 10, 4, 8), (64, 1.5, 1, 96)],
)
def test_filters_are_rounded_to_what_groups_divide_and_at_least_to_one_for_each(filters, width, groups, expected):
    assert widened(filters, width, groups) == expected


@pytest.mark.parametrize("width", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_no_width_is_refused(width):
    with pytest.raises(InvalidValue, match=r"width is .*, and must be a positive number: 1 for the network as it is"):
        models.create("resnet18", 10, width=width)
