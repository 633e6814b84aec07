"""Layers of one network put into another, as VGG's deep nets began with layers of net A."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from convnets.errors import InvalidValue, nearest

Variables = Mapping[str, Any]
"""What a network is applied with: `params` and `batch_stats`, trees of arrays by the names of layers."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Taken:
    """What was taken.

    Attributes:
      layers: their names.
      arrays: in all of them.
      numbers: in all these arrays.
    """

    layers: tuple[str, ...]
    arrays: int
    numbers: int

    def __str__(self) -> str:
        return f"{len(self.layers)} layers ({', '.join(self.layers)}), {self.arrays} arrays, {self.numbers:,} numbers"


def initialize(variables: Variables, source: Variables, layers: Sequence[str]) -> tuple[dict[str, Any], Taken]:
    """`variables` with the named layers of `source` in them; all other arrays are the same ones.

    Args:
      variables: of the network that begins. Shapes and types are all that is read of its arrays, so that
        `jax.ShapeDtypeStruct`s do to find out what would be refused.
      source: of the network whose layers are taken.
      layers: names such as "stage1_conv1", or paths such as "stage1_block1/conv1"; all that lies below one is taken,
        statistics of batch norm included.

    Raises:
      InvalidValue: no layers, a layer that one of the two does not have, or that has other arrays there: other names,
        shapes or types.
    """
    if not layers:
        raise InvalidValue(f"no layers are named to begin with: name some of {', '.join(_names(source))}")
    into, out_of = _arrays(variables), _arrays(source)
    taken: dict[Path, Any] = {}
    for layer in layers:
        below = {path: array for path, array in out_of.items() if _is_below(path, layer)}
        wanted = {path: array for path, array in into.items() if _is_below(path, layer)}
        for arrays, of, has in ((below, source, "which is taken from"), (wanted, variables, "which begins")):
            if not arrays:
                hint = nearest(layer, _names(of))
                raise InvalidValue(f"the network {has} has no layer {layer!r}: {hint}")
        _refuse_misfits(layer, below, wanted)
        taken |= below

    def replaced(path: Any, array: Any) -> Any:
        return taken.get(_path(path), array)

    report = Taken(tuple(layers), len(taken), sum(math.prod(array.shape) for array in taken.values()))
    return dict(jax.tree_util.tree_map_with_path(replaced, dict(variables))), report


def _refuse_misfits(layer: str, below: Mapping[Path, Any], wanted: Mapping[Path, Any]) -> None:
    for path in sorted(below.keys() | wanted.keys()):
        there, here = (_in_words(arrays.get(path)) for arrays in (below, wanted))
        if there != here:
            name = "/".join(path[1:])
            raise InvalidValue(
                f"the layer {layer!r} does not fit: {name} is {there} in the network which is taken from and {here} in "
                "the one which begins: leave the layer out"
            )


def _in_words(array: Any) -> str:
    return "absent" if array is None else f"{array.dtype.name}{list(array.shape)}"


def _is_below(path: Path, layer: str) -> bool:
    parts = tuple(layer.split("/"))
    return path[1 : 1 + len(parts)] == parts


def _arrays(variables: Variables) -> dict[Path, Any]:
    """Each array by its collection, the names of its layers, and its own."""
    return {_path(path): array for path, array in jax.tree_util.tree_leaves_with_path(dict(variables))}


def _path(path: Any) -> Path:
    return tuple(key.key for key in path)


def _names(variables: Variables) -> list[str]:
    """Of the layers at the top."""
    return list(variables["params"])
