"""What holds for all networks: published totals, options, native sizes, feature maps, types."""

import inspect
from typing import Literal, get_args, get_origin

import jax
import jax.numpy as jnp
import pytest
from counting import abstract, entries, outputs

from convnets import models
from convnets.errors import InvalidValue

NAMES = list(models.architectures)

KINDS = (
    "lenet5",
    "lenet5_bn",
    "alexnet",
    "alexnet_owt",
    "vgg_a_lrn",
    "vgg_c_bn",
    "vgg16",
    "googlenet",
    "googlenet_bn",
    "resnet18",
    "resnet50",
    "resnet50_v1_5",
    "plain18",
    "resnet20",
    "plain20",
)
"""One of each kind; the others differ from them in depth alone."""

LARGE = [name for name in KINDS if models.create(name, 10).image_size > 32]
WITH_STEM = [name for name in KINDS if "stem" in models.architectures.options(name)]

PUBLISHED = {
    "alexnet": 62_378_344,
    "alexnet_owt": 61_100_840,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet50_v1_5": 25_557_032,
    "resnet101": 44_549_160,
    "resnet101_v1_5": 44_549_160,
    "resnet152": 60_192_808,
    "resnet152_v1_5": 60_192_808,
}
"""Parameters for 1,000 classes (torchvision's metadata; AlexNet by hand from the lecture's table)."""

PUBLISHED_CIFAR = {20: 0.27e6, 32: 0.46e6, 44: 0.66e6, 56: 0.85e6, 110: 1.7e6}
"""He et al. 2015, table 6."""


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_the_published_number_of_parameters_to_the_last(name, parameters):
    assert entries(abstract(models.create(name, 1000))["params"]) == parameters


def test_googlenet_has_the_published_number_without_its_auxiliary_classifiers():
    network = models.create("googlenet_bn", 1000, auxiliary=False)
    assert entries(abstract(network)["params"]) == 6_624_904


def test_alexnet_in_two_groups_has_fewer_parameters():
    assert entries(abstract(models.create("alexnet", 1000, groups=2))["params"]) == 60_965_224


@pytest.mark.parametrize(("depth", "parameters"), PUBLISHED_CIFAR.items())
def test_residual_networks_for_cifar_have_the_papers_parameters(depth, parameters):
    found = entries(abstract(models.create(f"resnet{depth}", 10))["params"])
    digits = 1 if depth == 110 else 2
    assert round(found / 1e6, digits) == pytest.approx(parameters / 1e6)


@pytest.mark.parametrize(("letter", "layers"), [("a", 11), ("b", 13), ("d", 16), ("e", 19)])
@pytest.mark.parametrize("suffix", ["", "_bn"])
def test_vggs_by_letter_and_by_layers_are_the_same_networks(letter, layers, suffix):
    by_letter = models.create(f"vgg_{letter}{suffix}", 10)
    assert by_letter == models.create(f"vgg{layers}{suffix}", 10)


@pytest.mark.parametrize("name", KINDS)
def test_any_number_of_classes_and_channels(name):
    network = models.create(name, 7)
    logits, maps = outputs(network, channels=5, count=2)
    assert (logits.shape, logits.dtype) == ((2, 7), jnp.float32)
    assert {"stage1", "stage2", "stage3", "pre_logits"} <= maps.keys()
    assert maps["pre_logits"].shape[1:3] == (1, 1)
    assert not any(name.startswith("auxiliary") for name in maps), "those are for training"


@pytest.mark.parametrize("name", KINDS)
def test_parameters_are_float32_whatever_the_compute_type_and_the_logits_too(name):
    network = models.create(name, 10, dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(abstract(network))} == {jnp.dtype("float32")}
    logits, maps = outputs(network)
    assert logits.dtype == jnp.float32
    assert {value.dtype for value in maps.values()} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("name", KINDS)
def test_larger_images_have_a_map_of_logits(name):
    network = models.create(name, 10)
    logits, _ = outputs(network, side=2 * network.image_size)
    assert len(logits.shape) == 4
    assert logits.shape[1] == logits.shape[2] > 1
    assert entries(abstract(network)) == entries(abstract(network, 2 * network.image_size))


@pytest.mark.parametrize("name", KINDS)
def test_the_smallest_size_that_an_error_names_is_the_smallest_that_works(name):
    network = models.create(name, 10)
    with pytest.raises(InvalidValue, match="needs images of at least") as refused:
        outputs(network, side=20)
    smallest = int(str(refused.value).split("at least ")[1].split(" x ")[0])
    assert f"at least {smallest} x {smallest} pixels, and was given 20 x 20" in str(refused.value)
    options = models.architectures.options(name)
    assert ("image_size" in str(refused.value)) == ("image_size" in options)
    assert ("stem" in str(refused.value)) == ("stem" in options), "no option is named that the network does not have"
    assert 20 < smallest <= network.image_size
    assert outputs(network, side=smallest)[0].shape == (1, 10)
    with pytest.raises(InvalidValue, match=f"at least {smallest} x {smallest} pixels, and was given"):
        outputs(network, side=smallest - 1)


@pytest.mark.parametrize("name", LARGE)
def test_another_native_size_moves_the_classifier_to_its_last_map(name):
    network = models.create(name, 10, image_size=128)
    assert network.image_size == 128
    assert outputs(network)[0].shape == (1, 10)
    assert len(outputs(network, side=256)[0].shape) == 4


@pytest.mark.parametrize("name", ["alexnet", "alexnet_owt", "vgg16", "googlenet", "googlenet_bn"])
def test_a_native_size_that_leaves_nothing_to_classify_is_refused(name):
    with pytest.raises(InvalidValue, match=r"image_size is 9, and .* can't be made for images under \d+ pixels"):
        outputs(models.create(name, 10, image_size=9), side=224)


@pytest.mark.parametrize("name", WITH_STEM)
def test_the_stem_for_small_images_keeps_their_size_and_takes_32_pixels(name):
    network = models.create(name, 10, stem="small")
    assert network.image_size == 32
    logits, maps = outputs(network, channels=1)
    assert logits.shape == (1, 10)
    first = maps.get("stem", maps["stage1"])
    assert first.shape[1:3] == (32, 32)
    kernels = jax.tree_util.tree_leaves_with_path(abstract(network, channels=1)["params"])
    stem = next(leaf.shape for path, leaf in kernels if "conv1" in path[0].key and path[-1].key == "kernel")
    assert stem == (3, 3, 1, first.shape[-1])


def test_every_family_has_a_stem_for_small_images():
    families = {type(models.create(name, 10)).__name__ for name in WITH_STEM}
    assert families == {"AlexNet", "VGG", "GoogLeNet", "ResNet"}


@pytest.mark.parametrize("name", NAMES)
def test_every_value_that_an_option_lists_is_taken_and_another_refused(name):
    for parameter in inspect.signature(models.architectures[name]).parameters.values():
        if get_origin(parameter.annotation) is not Literal:
            continue
        for value in get_args(parameter.annotation):
            models.create(name, 10, **{parameter.name: value})
        with pytest.raises(InvalidValue, match=f"the option '{parameter.name}' of the architecture '{name}' is "):
            models.create(name, 10, **{parameter.name: "nonsense"})


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("resnet20", "stem", "small"),
        ("plain18", "shortcut", "B"),
        ("plain20", "zero_init", True),
        ("resnet18", "stride_in", "3x3"),
        ("resnet50", "dropout", 0.5),
        ("vgg16", "norm", None),
        ("vgg16", "auxiliary", True),
        ("alexnet_owt", "groups", 2),
        ("alexnet", "remat", True),
    ],
)
def test_options_that_a_network_does_not_have_are_refused(name, option, value):
    with pytest.raises(InvalidValue, match=f"the architecture '{name}' has no option '{option}'"):
        models.create(name, 10, **{option: value})


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0])
def test_a_dropout_rate_outside_of_its_range_is_refused(rate):
    with pytest.raises(InvalidValue, match=r"dropout is .*, and must lie in \[0, 1\)"):
        models.create("vgg16", 10, dropout=rate)


@pytest.mark.parametrize("name", [name for name in KINDS if "image_size" in models.architectures.options(name)])
def test_a_native_size_of_zero_is_the_usual_one(name):
    assert models.create(name, 10, image_size=0) == models.create(name, 10)


def test_what_is_no_batch_of_images_is_refused():
    for name in KINDS:
        with pytest.raises(InvalidValue, match=r"takes a batch of images \[N, H, W, C\], and was given \[32, 32, 3\]"):
            jax.eval_shape(models.create(name, 10).init, jax.random.key(0), jnp.zeros((32, 32, 3)))


def test_a_negative_native_size_is_refused():
    with pytest.raises(InvalidValue, match="image_size is -1, and must be positive"):
        models.create("vgg16", 10, image_size=-1)
