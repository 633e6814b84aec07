"""What layers are, in words (`convolution 3×3/1`, `batch norm`, `max pool 2×2/2`), and which functions are pools."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from convnets.analysis.receptive_field import Axis
from convnets.analysis.trace import Operation, Value

SYNONYMS = {"Conv": "convolution", "ConvTranspose": "transposed convolution", "Dense": "fully connected"}
"""Flax's own classes in the field's words."""

PARTS = re.compile(r"P?ReLU|[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+\d*|[A-Z]|\d+")

POOLS = {
    "reduce_window_max": "max pool",
    "reduce_window_min": "min pool",
    "reduce_window_sum": "sum pool",
    "reduce_window": "pool",
    "reduce_max": "global max pool",
    "reduce_min": "global min pool",
    "reduce_sum": "global sum pool",
}


def in_words(class_name: str) -> str:
    """The name of a class as it is said.

    >>> in_words("LocalResponseNorm"), in_words("ConvolutionNormReLU")
    ('local response norm', 'convolution norm ReLU')
    """
    if class_name in SYNONYMS:
        return SYNONYMS[class_name]
    parts = PARTS.findall(class_name)
    return " ".join(part if part.endswith("ReLU") or part[1:].isupper() else part.lower() for part in parts)


def convolution_in_words(operation: Operation) -> str:
    """The filters of a `conv_general_dilated`: size and stride, and dilation and groups if there are any.

    The stride of a transposed convolution is that of the convolution it transposes: the input's dilation.
    """
    options = operation.options
    _, (_, _, *window), _ = options["dimension_numbers"]
    transposed = set(options["lhs_dilation"]) != {1}
    stride = options["lhs_dilation" if transposed else "window_strides"]
    words = _window_in_words([operation.inputs[1].shape[d] for d in window], stride, options["rhs_dilation"])
    groups = options["feature_group_count"]
    return words if groups == 1 else f"{words}, {groups} groups"


def _window_in_words(size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> str:
    # One number if all are the same: `2`, else `2×1`.
    step, gap = (str(each[0]) if len(set(each)) == 1 else "×".join(map(str, each)) for each in (stride, dilation))
    words = "×".join(map(str, size)) + f"/{step}"
    return words if set(dilation) == {1} else f"{words}, dilation {gap}"


@dataclass(frozen=True)
class Pool:
    """A pool among the operations.

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
        if operation.name not in POOLS or len(dimensions) < 2:
            continue
        regions = ""
        if operation.name.startswith("reduce_window"):
            names = ("window_dimensions", "window_strides", "window_dilation")
            size, stride, dilation = ([operation.options[name][d] for d in dimensions] for name in names)
            if {*size, *stride} == {1}:
                continue
            regions = _window_in_words(size, stride, dilation)
        elif not set(dimensions) <= set(operation.options["axes"]):
            continue
        output, averaged = _result(operation, readers)
        name = POOLS[operation.name].replace("sum", "average") if averaged else POOLS[operation.name]
        pools.append(Pool(operation, name, regions, output))
    return pools


def _spatial(operation: Operation, axes: Sequence[dict[Value, Axis]]) -> list[int]:
    """The dimensions of the image's rows and columns in an operation's input: as in the image, unless known better."""
    seen = [axis.get(operation.inputs[0]) if operation.inputs else None for axis in axes]
    if any(axis is None for axis in seen):
        return []
    if all(axis and axis.dimension is None and axis.field is None for axis in seen):
        return [1, 2] if len(operation.inputs[0].shape) == 4 else []
    return [axis.dimension for axis in seen if axis and axis.dimension is not None]


def _result(operation: Operation, readers: dict[Value, list[Operation]]) -> tuple[Value, bool]:
    """What the pool gives in the end, and whether its sums are divided on the way."""
    value, averaged = operation.outputs[0], False
    while len(following := readers.get(value, [])) == 1 and following[0].call == operation.call:
        [reader] = following
        # It multiplies or divides by what the image doesn't change.
        scales = reader.name in ("div", "mul") and sum(each in readers for each in reader.inputs) == 1
        # Or it gives the entries in a shorter type, or gives a global pool its axes back, of one entry each.
        shortens = reader.name == "convert_element_type" and reader.outputs[0].dtype.itemsize < value.dtype.itemsize
        same_entries = math.prod(reader.outputs[0].shape) == math.prod(value.shape)
        if scales and operation.name.endswith("sum") and not averaged:
            averaged = True
        elif not shortens and not (reader.name == "broadcast_in_dim" and same_entries):
            break
        value = reader.outputs[0]
    return value, averaged
