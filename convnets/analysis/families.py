"""Families of networks: what a network's name says of it, how the name is printed, and in which colour."""

import re

from convnets.plots import style

PRINTED = {
    "lenet": "LeNet",
    "alexnet": "AlexNet",
    "vgg": "VGG",
    "googlenet": "GoogLeNet",
    "resnet": "ResNet",
    "plain": "plain",
}
"""The families in the order of their papers."""

COLOURS = {
    "lenet": style.ORANGE,
    "alexnet": style.VERMILION,
    "vgg": style.BLUE,
    "googlenet": style.GREEN,
    "resnet": style.PURPLE,
}

ACRONYMS = ("bn", "lrn", "a", "b", "c", "d", "e")


def family_of(network: str) -> str:
    """The family of a network's name in `create`: its letters up to the first digit or underscore."""
    found = re.match(r"[A-Za-z]+", network)
    return found[0] if found else network


def printed_family(family: str) -> str:
    """As the papers write it; a family that is not known here is written as it is."""
    return PRINTED.get(family, family)


def printed_name(network: str) -> str:
    """A network's name as it is printed: `resnet50_v1_5` is ResNet-50 v1.5, `vgg_a_lrn` is VGG-A LRN."""
    family = family_of(network)
    variant = re.sub(r"(\d)_(\d)", r"\1.\2", network[len(family) :])
    words = [word.upper() if word in ACRONYMS else word for word in variant.split("_") if word]
    short = words and (words[0].isdigit() or len(words[0]) == 1)
    return " ".join([printed_family(family) + ("-" + words[0] if short else ""), *words[1 if short else 0 :]])


def colour_of(family: str) -> str:
    """One of the palette's; grey for families without one."""
    return COLOURS.get(family, style.MUTED)
