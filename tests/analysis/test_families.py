import pytest

from convnets.analysis.families import colour_of, family_of, printed_family, printed_name
from convnets.plots import style


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
    assert family_of(network) == family
    assert printed_name(network) == printed


def test_a_family_that_is_not_known_keeps_its_name_and_is_grey() -> None:
    assert printed_family("segmenter") == "segmenter"
    assert colour_of("segmenter") == style.MUTED
    assert len({colour_of(family) for family in ("lenet", "alexnet", "vgg", "googlenet", "resnet", "plain")}) == 6
