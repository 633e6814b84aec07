"""What whole networks cost and see, counted from their modules."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn

from convnets import models
from convnets.analysis.summary import summarize, total
from convnets.errors import InvalidValue

CLASSES = 1000
"""Of ImageNet."""

SMALL_IMAGES, CLASSES_OF_SMALL = 32, 10
"""Networks for images of up to 32 pixels are counted for the ten classes of CIFAR-10, MNIST and the like."""


@dataclass(frozen=True)
class NetworkCost:
    """Of one image, in inference.

    Attributes:
      image_shape: `(H, W, C)`.
      parameters: without those of auxiliary classifiers, which training alone uses.
      multiply_adds: of convolutions and products with weights.
      activation_bytes: of all layers' outputs.
      receptive_field: side of the region that a response of the last map before the classifier sees, in pixels; None
        if it is unknown.
      stride: from one response's region to the next one's, in pixels.
    """

    image_shape: tuple[int, int, int]
    parameters: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: int | None
    stride: int | None


@dataclass(frozen=True)
class KnownNetwork:
    """A registered network, its names in `create`, of which most networks have one, and the classes of its logits."""

    names: tuple[str, ...]
    classes: int
    module: nn.Module


def known_networks(names: Iterable[str] | None = None) -> list[KnownNetwork]:
    """The registered networks, each once however many names it has.

    Args:
      names: some of them; by default all.
    """
    found: dict[nn.Module, list[str]] = {}
    for name in models.architectures if names is None else names:
        # Modules with the same fields are equal.
        found.setdefault(native_network(name), []).append(name)
    return [
        # The paper's letters before its numbers of layers: vgg_a, vgg11.
        KnownNetwork(tuple(sorted(names, reverse=True)), module.num_classes, module)
        for module, names in found.items()
    ]


def native_network(name: str, **options: Any) -> nn.Module:
    """A network of 1,000 classes, or of 10 where the images that it was made for are at most 32 pixels wide."""
    network = models.create(name, CLASSES, **options)
    if hasattr(network, "image_size") and network.image_size <= SMALL_IMAGES:
        return models.create(name, CLASSES_OF_SMALL, **options)
    return network


def native_shape(network: nn.Module) -> tuple[int, int, int]:
    """`(H, W, C)` of the images that a network was made for: of three channels unless it says otherwise.

    Raises:
      InvalidValue: a network that does not say.
    """
    if not hasattr(network, "image_size"):
        raise InvalidValue(f"{type(network).__name__} has no image_size, its native height and width: give --image")
    return network.image_size, network.image_size, getattr(network, "native_channels", 3)


def cost_of(network: nn.Module, image_shape: tuple[int, int, int]) -> NetworkCost:
    """The cost of a network on images of that shape `(H, W, C)`.

    Raises:
      InvalidValue: what the network refuses.
    """
    summary = summarize(network, image_shape)
    whole = total(summary)
    maps = [
        (row.stride[0], row.receptive_field[0])
        for row in summary
        if row.stride and row.receptive_field and len(row.output_shape) == 4 and max(row.output_shape[1:3]) > 1
        if not row.training_only
    ]
    # Maps grow coarser, and at one stride see more and more; of ways side by side the largest filters count.
    stride, field = max(maps) if maps else (None, None)
    return NetworkCost(
        image_shape, whole.parameters, whole.multiply_adds, whole.activation_bytes, receptive_field=field, stride=stride
    )
