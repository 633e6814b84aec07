"""A network as the state of torchvision's network of that name, where that is the same."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from convnets import models
from convnets.layers import BatchNorm
from convnets.pretrained.conversion import naming_for, to_names
from convnets.pretrained.naming import Naming
from convnets.pretrained.patterns import flat, matches

FREE = {"image_size", "dropout", "auxiliary_dropout", "auxiliary", "zero_init", "remat", "dtype"}
"""Options with which a network of the same arrays computes the same function of them."""

COUNTER = "num_batches_tracked"
"""Of the steps of a batch norm, which PyTorch keeps and uses only where there is no momentum."""


def difference_from_torchvision(architecture: str, network: nn.Module, variables: Mapping[str, Any]) -> str:
    """What keeps torchvision's network of that name from being this one, in words; empty where it is this one.

    Args:
      architecture: the name in `create` of the network.
    """
    naming = naming_for(architecture, "torchvision")
    if naming is None:
        return f"torchvision has no {architecture}"
    # Every network that torchvision has takes a number of classes.
    published: Any = models.create(architecture, network.num_classes)
    for option in (field.name for field in fields(network) if field.init and field.name not in FREE):
        theirs, here = getattr(published, option), getattr(network, option)
        if option == "norm":
            option, theirs, here = "epsilon of batch norm", _epsilon(theirs), _epsilon(here)
        if option not in ("name", "parent") and theirs != here:
            return f"{naming} has {option} {theirs}, not {here}"
    return _difference_of_arrays(naming, published, variables)


def torchvision_state(architecture: str, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What `state_dict()` of torchvision's network is, float32 and, for the steps of batch norms, int64.

    Args:
      variables: of a network without a difference from torchvision's.
    """
    naming = naming_for(architecture, "torchvision")
    assert naming is not None
    arrays = to_names(variables, naming)
    norms = [name.removesuffix("running_mean") for name in arrays if name.endswith(".running_mean")]
    return arrays | {norm + COUNTER: np.zeros((), np.int64) for norm in norms}


def _difference_of_arrays(naming: Naming, published: nn.Module, variables: Mapping[str, Any]) -> str:
    size = published.image_size
    expected = flat(jax.eval_shape(published.init, jax.random.key(0), jnp.zeros((1, size, size, 3))))
    given = flat(variables)
    for path in sorted(expected.keys() | given.keys()):
        if matches(path[1:], *naming.optional) and path not in given:
            continue
        theirs, here = (list(arrays[path].shape) if path in arrays else "no such array" for arrays in (expected, given))
        if theirs != here:
            return f"{naming} has {'/'.join(path[1:])} {theirs}, not {here}"
    return ""


def _epsilon(norm: Any) -> float | None:
    """Of a batch norm that may be a partial application."""
    return None if norm is None else getattr(norm, "keywords", {}).get("epsilon", BatchNorm.epsilon)
