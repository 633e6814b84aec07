"""What is published, and that our networks are the ones that it was published of."""

import pytest

from convnets.analysis.network_costs import cost_of, known_networks, native_shape
from convnets.analysis.published import ONE_CROP, PUBLISHED, TORCHVISION, family_of, printed_name, published_of
from convnets.models import architectures

# Parameters and 10^9 multiply-adds (there: "GFLOPS") in the metadata of torchvision's weights. Of GoogLeNet the
# parameters without the auxiliary classifiers.
TORCHVISION_METADATA = {
    "alexnet_owt": (61_100_840, 0.714),
    "vgg11": (132_863_336, 7.609),
    "vgg11_bn": (132_868_840, 7.609),
    "vgg13": (133_047_848, 11.308),
    "vgg13_bn": (133_053_736, 11.308),
    "vgg16": (138_357_544, 15.470),
    "vgg16_bn": (138_365_992, 15.470),
    "vgg19": (143_667_240, 19.632),
    "vgg19_bn": (143_678_248, 19.632),
    "googlenet_bn": (6_624_904, 1.498),
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50_v1_5": (25_557_032, 4.089),
    "resnet101_v1_5": (44_549_160, 7.801),
    "resnet152_v1_5": (60_192_808, 11.514),
}


@pytest.mark.parametrize("name", TORCHVISION_METADATA)
def test_our_networks_have_the_published_parameters_and_multiply_adds(name: str) -> None:
    [network] = known_networks([name])
    cost = cost_of(network.module, native_shape(network.module))
    assert cost.image_shape == (224, 224, 3)
    assert (cost.parameters, round(cost.multiply_adds / 1e9, 3)) == TORCHVISION_METADATA[name]


def test_every_published_network_is_one_of_ours() -> None:
    assert {entry.network for entry in PUBLISHED} <= set(architectures)
    assert {entry.network for entry in PUBLISHED if entry.source == TORCHVISION} == set(TORCHVISION_METADATA)


def test_accuracies_are_in_percent_and_top_5_is_the_higher() -> None:
    for entry in PUBLISHED:
        assert any(top is not None for top in (entry.top1, entry.top5))
        assert all(top is None or 50 < top < 100 for top in (entry.top1, entry.top5))
        if entry.top1 is not None and entry.top5 is not None:
            assert entry.top1 < entry.top5
    keys = [(entry.network, entry.weights, entry.protocol, entry.data) for entry in PUBLISHED]
    assert len(keys) == len(set(keys))


def test_a_network_has_what_is_published_under_any_of_its_names_of_one_crop_first() -> None:
    found = published_of(["vgg_d", "vgg16"])
    assert [(entry.network, entry.protocol, entry.top1) for entry in found] == [
        ("vgg16", ONE_CROP, 71.592),
        ("vgg_d", "dense", 73.0),
    ]
    assert published_of(["lenet5"]) == []
    # The paper's errors: 40.7 % top-1 and 18.2 % top-5 of one network, averaged over ten crops.
    [alexnet], [googlenet] = published_of(["alexnet"]), published_of(["googlenet"])
    assert (alexnet.top1, alexnet.top5, alexnet.protocol) == (59.3, 81.8, "10 crops, two groups")
    assert (googlenet.top1, googlenet.top5) == (None, 89.93)


@pytest.mark.parametrize(
    ("network", "family", "printed"),
    [
        ("resnet50_v1_5", "resnet", "ResNet-50 v1.5"),
        ("resnet1202", "resnet", "ResNet-1202"),
        ("vgg16_bn", "vgg", "VGG-16 BN"),
        ("vgg_a_lrn", "vgg", "VGG-A LRN"),
        ("alexnet", "alexnet", "AlexNet"),
        ("alexnet_owt", "alexnet", "AlexNet owt"),
        ("googlenet_bn", "googlenet", "GoogLeNet BN"),
        ("lenet5", "lenet", "LeNet-5"),
        ("plain34", "plain", "plain-34"),
        ("segmenter_large", "segmenter", "segmenter large"),
    ],
)
def test_names_are_printed_as_in_the_papers(network: str, family: str, printed: str) -> None:
    assert (family_of(network), printed_name(network)) == (family, printed)
