"""Where the responses of a network's feature maps lie in the image."""

from functools import lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from convnets.analysis.field_rules import axes_of
from convnets.analysis.receptive_field import Field
from convnets.analysis.trace import trace_outputs
from convnets.errors import InvalidValue
from convnets.models.upsampling import LOGITS, Grid


@lru_cache(maxsize=8)
def feature_grids(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, Grid]:
    """The grid of each feature map of a network and of its logits, in the order of the maps, the logits last.

    Found from a trace of the network in shapes alone. Maps that training alone has, as auxiliary classifiers, are with
    them.

    Args:
      image_shape: (H, W, C) of an image that the network takes.

    Raises:
      InvalidValue: a map whose places are not known, or other ones down than across.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    trace, logits, maps = trace_outputs(network, images)
    rows, columns = axes_of(trace, 1), axes_of(trace, 2)
    grids = {}
    for name, value in (maps | {LOGITS: logits}).items():
        fields: list[Any] = [axes[value].field if value in axes else None for axes in (rows, columns)]
        if not all(isinstance(field, Field) for field in fields) or fields[0] != fields[1]:
            raise InvalidValue(
                f"where the responses of the feature map {name!r} lie is not known: use a network of convolutions and "
                "pools that treat rows and columns alike"
            )
        field = fields[0]
        grids[name] = Grid(field.stride, field.offset + (field.size - 1) / 2)
    return grids
