"""Pools that are functions and not modules, found among a network's operations."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from convnets.analysis.field_rules import Axis
from convnets.analysis.kinds import POOLS, pool_in_words
from convnets.analysis.trace import Operation, Value

SCALING = ("div", "mul")


@dataclass(frozen=True)
class Pool:
    """A pool.

    Attributes:
      operation: the one that pools.
      name: what it does, such as `max pool`.
      regions: their size and stride, such as `3×3/2`; empty for a global pool.
      output: the pooled maps; of an average after the division.
    """

    operation: Operation
    name: str
    regions: str
    output: Value

    @property
    def kind(self) -> str:
        """In words, such as `max pool 3×3/2`."""
        return f"{self.name} {self.regions}".strip()


def pools_of(
    operations: Sequence[Operation], image: Collection[Value], axes: tuple[dict[Value, Axis], dict[Value, Axis]]
) -> list[Pool]:
    """The pools among operations on the image: windows over its rows or columns, and sums or extremes over all of both.

    Args:
      image: the values that depend on the image.
      axes: what the image's rows and columns are in each of them.
    """
    readers: dict[Value, list[Operation]] = {}
    for operation in operations:
        for value in set(operation.inputs) & set(image):
            readers.setdefault(value, []).append(operation)
    pools = []
    for operation in operations:
        dimensions = _spatial(operation, axes)
        if operation.name in POOLS and _is_pool(operation, dimensions):
            output, averaged = _finish(operation, readers)
            name = POOLS[operation.name].replace("sum", "average") if averaged else POOLS[operation.name]
            pools.append(Pool(operation, name, pool_in_words(operation, dimensions), output))
    return pools


def _spatial(operation: Operation, axes: Sequence[dict[Value, Axis]]) -> list[int]:
    """The dimensions of the image's rows and columns in an operation's input: as in the image, unless known better."""
    seen = [axis.get(operation.inputs[0]) if operation.inputs else None for axis in axes]
    if any(axis is None for axis in seen):
        return []
    if all(axis and axis.dimension is None and axis.field is None for axis in seen):
        return [1, 2] if len(operation.inputs[0].shape) == 4 else []
    return [axis.dimension for axis in seen if axis and axis.dimension is not None]


def _is_pool(operation: Operation, dimensions: Sequence[int]) -> bool:
    if len(dimensions) < 2:
        return False
    if not operation.name.startswith("reduce_window"):
        return set(dimensions) <= set(operation.options["axes"])
    window, strides = operation.options["window_dimensions"], operation.options["window_strides"]
    return any(window[d] != 1 or strides[d] != 1 for d in dimensions)


def _finish(operation: Operation, readers: dict[Value, list[Operation]]) -> tuple[Value, bool]:
    """What the pool gives in the end, and whether its sums are divided on the way."""
    value, averaged = operation.outputs[0], False
    while len(following := readers.get(value, [])) == 1 and following[0].call == operation.call:
        [reader] = following
        if operation.name.endswith("sum") and reader.name in SCALING and not averaged and _scales(reader, readers):
            averaged = True
        elif not _only_shortens(reader, value) and not _only_keeps_axes(reader, value):
            break
        value = reader.outputs[0]
    return value, averaged


def _only_shortens(reader: Operation, value: Value) -> bool:
    """Whether it gives the entries in a shorter type."""
    return reader.name == "convert_element_type" and reader.outputs[0].dtype.itemsize < value.dtype.itemsize


def _only_keeps_axes(reader: Operation, value: Value) -> bool:
    """Whether it gives a global pool its axes back, of one entry each."""
    return reader.name == "broadcast_in_dim" and math.prod(reader.outputs[0].shape) == math.prod(value.shape)


def _scales(reader: Operation, readers: dict[Value, list[Operation]]) -> bool:
    """Whether it multiplies or divides by what the image doesn't change."""
    return sum(value in readers for value in reader.inputs) == 1
