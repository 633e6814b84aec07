"""Where the responses of a network's feature maps lie in the image."""

from functools import lru_cache

import flax.linen as nn
import jax
import jax.numpy as jnp

from convnets.analysis.field_rules import axes_of
from convnets.analysis.trace import trace_outputs
from convnets.errors import InvalidValue
from convnets.models.upsampling import Grid


@lru_cache(maxsize=8)
def feature_grids(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, Grid]:
    """The grid of each feature map of a network, those of training alone too, and of its logits, which come last.

    Args:
      image_shape: (H, W, C) of an image that the network takes.

    Raises:
      InvalidValue: a map whose places are not known, or other ones down than across.
    """
    trace, outputs = trace_outputs(network, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
    rows, columns = axes_of(trace, 1), axes_of(trace, 2)
    grids = {}
    for name, value in outputs.items():
        field, across = (axes[value].field if value in axes else None for axes in (rows, columns))
        if field is None or field != across:
            raise InvalidValue(
                f"where the responses of the feature map {name!r} lie is not known: use a network of convolutions and "
                "pools that treat rows and columns alike"
            )
        grids[name] = Grid(field.stride, field.offset + (field.size - 1) / 2)
    return grids
