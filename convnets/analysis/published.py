"""Published accuracies of the lecture's networks, to compare ours with, and how their names are printed.

Only accuracies are written down here. Parameters and multiply-adds are counted from the networks themselves.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# fmt: off
FAMILIES = {
    "lenet": "LeNet", "alexnet": "AlexNet", "vgg": "VGG", "googlenet": "GoogLeNet", "resnet": "ResNet",
    "plain": "plain",
}
# fmt: on
"""The families of networks as they are printed, in the order of their papers."""

ACRONYMS = ("bn", "lrn", "a", "b", "c", "d", "e")

ONE_CROP = "1 crop"

TORCHVISION = "the metadata of torchvision's weights (pytorch.org/vision/stable/models)"
ALEXNET = "Krizhevsky et al., NIPS 2012, table 2"
VGG = "Simonyan and Zisserman, ICLR 2015, table 3 (whole images, short side 256)"
GOOGLENET = "Szegedy et al., CVPR 2015, table 3"
RESNET = "He et al., CVPR 2016, table 3"
RESNET_RELEASE = "He et al., github.com/KaimingHe/deep-residual-networks"
RESNET_CIFAR = "He et al., CVPR 2016, table 6"


@dataclass(frozen=True)
class Published:
    """What a network was reported to reach.

    Attributes:
      network: its name in `create`.
      weights: whose training: "V1" and "V2" are torchvision's recipes, "paper" the authors'.
      top1, top5: accuracy in %, of the validation images (CIFAR-10: test images); None where it isn't reported.
      protocol: what of an image the network saw, such as "1 crop".
      source: where it is reported.
      data: the data set.
    """

    network: str
    weights: str
    top1: float | None
    top5: float | None
    protocol: str
    source: str
    data: str = "ImageNet"


# fmt: off
# Top-1 and top-5 accuracy. One centre crop of 224 from an image whose short side is 256 (V1) or 232 (V2).
_TORCHVISION = {
    "V1": {
        "alexnet_owt": (56.522, 79.066), "vgg11": (69.020, 88.628), "vgg11_bn": (70.370, 89.810),
        "vgg13": (69.928, 89.246), "vgg13_bn": (71.586, 90.374), "vgg16": (71.592, 90.382),
        "vgg16_bn": (73.360, 91.516), "vgg19": (72.376, 90.876), "vgg19_bn": (74.218, 91.842),
        "googlenet_bn": (69.778, 89.530), "resnet18": (69.758, 89.078), "resnet34": (73.314, 91.420),
        "resnet50_v1_5": (76.130, 92.862), "resnet101_v1_5": (77.374, 93.546), "resnet152_v1_5": (78.312, 94.046),
    },
    "V2": {
        "resnet50_v1_5": (80.858, 95.434), "resnet101_v1_5": (81.886, 95.780), "resnet152_v1_5": (82.284, 96.002),
    },
}

# Top-1 and top-5 errors, which papers report.
_PAPERS: dict[tuple[str, str, str], dict[str, tuple[float | None, float | None]]] = {
    (ONE_CROP, RESNET_RELEASE, "ImageNet"):
        {"resnet50": (24.7, 7.8), "resnet101": (23.6, 7.1), "resnet152": (23.0, 6.7)},
    (ONE_CROP, GOOGLENET, "ImageNet"): {"googlenet": (None, 10.07)},
    ("10 crops, two groups", ALEXNET, "ImageNet"): {"alexnet": (40.7, 18.2)},
    ("10 crops", RESNET, "ImageNet"): {
        "plain34": (28.54, 10.02), "resnet34": (24.52, 7.46), "resnet50": (22.85, 6.71), "resnet101": (21.75, 6.05),
        "resnet152": (21.43, 5.71),
    },
    ("dense", VGG, "ImageNet"): {
        "vgg_a": (29.6, 10.4), "vgg_a_lrn": (29.7, 10.5), "vgg_b": (28.7, 9.9), "vgg_c": (28.1, 9.4),
        "vgg_d": (27.0, 8.8), "vgg_e": (27.3, 9.0),
    },
    ("whole image", RESNET_CIFAR, "CIFAR-10"): {
        "resnet20": (8.75, None), "resnet32": (7.51, None), "resnet44": (7.17, None), "resnet56": (6.97, None),
        "resnet110": (6.43, None), "resnet1202": (7.93, None),
    },
}
# fmt: on


def _accuracy(error: float | None) -> float | None:
    return None if error is None else round(100 - error, 3)


PUBLISHED = (
    *(
        Published(network, weights, *accuracies, ONE_CROP, TORCHVISION)
        for weights, networks in _TORCHVISION.items()
        for network, accuracies in networks.items()
    ),
    *(
        Published(network, "paper", _accuracy(top1), _accuracy(top5), protocol, source, data)
        for (protocol, source, data), networks in _PAPERS.items()
        for network, (top1, top5) in networks.items()
    ),
)


def published_of(names: Iterable[str]) -> list[Published]:
    """What is published of a network that goes by any of these names, those of one crop first."""
    names = set(names)
    found = [entry for entry in PUBLISHED if entry.network in names]
    return sorted(found, key=lambda entry: entry.protocol != ONE_CROP)


def family_of(network: str) -> str:
    """The family of a network's name in `create`: its letters up to the first digit or underscore."""
    found = re.match(r"[A-Za-z]+", network)
    return found[0] if found else network


def printed_family(family: str) -> str:
    """As the papers write it; a family that is not known here is written as it is."""
    return FAMILIES.get(family, family)


def printed_name(network: str) -> str:
    """A network's name as it is printed: `resnet50_v1_5` is ResNet-50 v1.5, `vgg_a_lrn` is VGG-A LRN."""
    family = family_of(network)
    variant = re.sub(r"(\d)_(\d)", r"\1.\2", network[len(family) :])
    words = [word.upper() if word in ACRONYMS else word for word in variant.split("_") if word]
    short = words and (words[0].isdigit() or len(words[0]) == 1)
    return " ".join([printed_family(family) + ("-" + words[0] if short else ""), *words[1 if short else 0 :]])
