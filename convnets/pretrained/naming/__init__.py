"""Whose names the arrays of a weight file bear."""

from convnets.pretrained.naming.caffe import CAFFE, KERAS
from convnets.pretrained.naming.rules import Naming
from convnets.pretrained.naming.torchvision import TORCHVISION

NAMINGS: tuple[Naming, ...] = (*TORCHVISION, *CAFFE, *KERAS)
"""All that are known."""

SAME = {
    f"{letter}{norms}": f"{depth}{norms}"
    for letter, depth in {"vgg_a": "vgg11", "vgg_b": "vgg13", "vgg_d": "vgg16", "vgg_e": "vgg19"}.items()
    for norms in ("", "_bn")
}
"""Networks that have two names: the paper's, and the one that the namings have."""


def namings_of(architecture: str) -> list[Naming]:
    """The namings that are known of a network."""
    return [naming for naming in NAMINGS if naming.architecture == SAME.get(architecture, architecture)]


__all__ = ["NAMINGS", "Naming", "namings_of"]
