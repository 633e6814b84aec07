"""A classifier's network as the backbone of one that answers for every pixel."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.core import FrozenDict
from jax import Array

from convnets import models
from convnets.analysis.feature_grids import LOGITS, Grid, feature_grids
from convnets.errors import InvalidValue
from convnets.models.image_size import Output


def create_backbone(name: str, num_classes: int, options: Mapping[str, Any], output: Output) -> nn.Module:
    """The architecture of that name with a dense classifier ("map") or none ("features").

    Raises:
      InvalidValue: an architecture that can't end so.
    """
    network = models.create(name, num_classes, **options)
    if not any(field.name == "output" for field in fields(network)):
        raise InvalidValue(
            f"the network {name!r} can't be the backbone of a segmentation: use AlexNet, VGG, GoogLeNet or a ResNet"
        )
    return network.clone(output=output)


def grids_of(backbone: nn.Module, channels: int) -> FrozenDict[str, Grid]:
    """The grid of each feature map and of the logits, as modules that can be hashed have them."""
    side: int = backbone.image_size
    return FrozenDict(feature_grids(backbone, (side, side, channels)))


def covered(backbone: nn.Module, images: Array, stride: int) -> tuple[Array, int, int]:
    """The images with zeros around them, so that the backbone's last map has a response for every begun `stride`.

    Returns:
      `[N, H', W', C]`, and the pixels added above and at the left.

    Raises:
      InvalidValue: images smaller than the stride.
    """
    height, width = images.shape[1:3]
    if min(height, width) < stride:
        raise InvalidValue(
            f"the images have {height} x {width} pixels, and the network's last map has a response every {stride}: use "
            f"images of at least {stride} x {stride}"
        )
    (above, below), (left, right) = (_around(backbone, side, stride) for side in (height, width))
    return jnp.pad(images, ((0, 0), (above, below), (left, right), (0, 0))), above, left


def _around(backbone: nn.Module, side: int, stride: int) -> tuple[int, int]:
    positions, larger = -(-side // stride), side
    while backbone.last_map(larger) < positions:
        larger += 1
    return (larger - side) // 2, (larger - side + 1) // 2


def first_at(stride: int, names: Iterable[str], grids: Mapping[str, Grid]) -> str | None:
    """The first of the maps with a response every `stride` pixels: of VGG that of the pool (Long et al. 2015)."""
    # Auxiliary classifiers give maps in training alone.
    shared = (name for name in names if name != LOGITS and not name.startswith("auxiliary"))
    return next((name for name in shared if grids[name].stride == stride), None)


def last_at(stride: int, names: Iterable[str], grids: Mapping[str, Grid]) -> str | None:
    """The last of the maps with a response every `stride` pixels, before the next pool."""
    return first_at(stride, reversed(list(names)), grids)
