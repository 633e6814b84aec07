"""The two ends of a network, by the names of their layers."""

from convnets.pretrained.patterns import Path

STEMS = ("conv1", "stage1_conv1")
"""Names of the layer that sees the images."""

HEAD = "head"
"""Name of what a task puts on a network besides its logits."""


def is_head(path: Path) -> bool:
    """Whether an array belongs to a layer whose outputs are the classes, or to what a task puts on the network."""
    return "logits" in path or HEAD in path


def is_stem(path: Path) -> bool:
    """Whether an array belongs to the layer that sees the images, its batch norm included."""
    return path[0] in STEMS


def is_stem_kernel(path: Path) -> bool:
    """Whether an array holds the filters that see the images."""
    return is_stem(path) and path[-1] == "kernel"
