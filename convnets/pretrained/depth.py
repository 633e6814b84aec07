"""How deep in a network a layer lies: which of the named feature maps need its parameters."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from convnets.analysis.trace import operations_of, sources
from convnets.errors import InvalidValue, nearest
from convnets.pretrained.patterns import Path, is_head

LOGITS = "logits"
"""What stands behind all feature maps."""


@lru_cache(maxsize=4)
def needs(network: nn.Module, image_shape: tuple[int, int, int]) -> Mapping[str, frozenset[Path]]:
    """The parameters that each feature map needs, the maps in the order in which the network returns them.

    Found from a trace of the network in shapes alone: a map needs whatever it can be reached from.

    Args:
      image_shape: (H, W, C) of an image.

    Returns:
      Paths within `params`. The last layer's is in no map, nor are those of auxiliary classifiers. What a task's head
      answers beside the logits is no feature map.
    """
    order: list[str] = []

    def feature_maps(variables: Any, images: Any) -> dict[str, Any]:
        outputs: Any = network.apply(variables, images, train=False)
        # JAX sorts the entries of a dict.
        order.extend(outputs[1])
        return dict(outputs[1])

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros(images.shape), train=False))
    operations, inputs, outputs = operations_of(jax.make_jaxpr(feature_maps)(variables, images))
    paths = [tuple(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(variables)]
    owners = dict(zip(inputs, paths, strict=False))
    reached = {}
    for name, output in zip(sorted(order), outputs, strict=True):
        found = [owners[each] for each in sources(operations, output) if each in owners]
        reached[name] = frozenset(path[1:] for path in found if path[0] == "params")
    return {name: reached[name] for name in order if not any(map(is_head, reached[name]))}


def below(network: nn.Module, image_shape: tuple[int, int, int], name: str) -> set[Path]:
    """The parameters of all layers that the feature maps before the named one need.

    Args:
      image_shape: (H, W, C) of an image.
      name: of a feature map, such as "stage3"; "logits" stands behind all maps.

    Raises:
      InvalidValue: no such map, or one that no layers lie below.
    """
    maps = needs(network, image_shape)
    order = [*maps, LOGITS]
    if name not in order:
        raise InvalidValue(f"the network has no feature map {name!r}: {nearest(name, order)}")
    found = set[Path]().union(*(maps[each] for each in order[: order.index(name)]))
    if not found:
        raise InvalidValue(f"no layers lie below the feature map {name!r}: name a later one, or none by ''")
    return found


def groups(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, frozenset[Path]]:
    """The parameters that each feature map is the first to need; maps that need no further ones are not in it."""
    known = set[Path]()
    found = {}
    for name, needed in needs(network, image_shape).items():
        if needed - known:
            found[name] = needed - known
            known |= needed
    return found


def height(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[Path, int]:
    """How many of `groups`, that of the logits among them, lie above each parameter.

    Returns:
      1 for the layers right below the logits, and so on down; the logits and auxiliary classifiers, which no map needs,
      are not in it.
    """
    layers = groups(network, image_shape).values()
    return {path: number for number, group in enumerate(reversed(layers), 1) for path in group}
