"""What part of the image each response of a network sees, and where it lies (lecture: "The power of small filters").

Along one axis: a convolution or pool whose windows reach over k responses, s apart, of a map with fields of `size`
pixels, `stride` apart, has fields of `size + (k - 1) stride` pixels, `s stride` apart.

For each array that depends on the image: which dimension the image's rows or columns have become, and the receptive
fields along it. What an operation does to the two is a rule, by the operation's name. Where no rule applies the field
is unknown and stays so: it is never guessed.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import flax.linen as nn
import jax
import jax.numpy as jnp

from convnets.analysis.operations import ELEMENTWISE, UNCHANGED
from convnets.analysis.trace import Operation, Trace, Value, dependents, trace_outputs
from convnets.errors import InvalidValue
from convnets.models.upsampling import Grid


@dataclass(frozen=True)
class Field:
    """The receptive fields of a map along one axis: response i sees `size` pixels from `offset + i stride` on.

    Attributes:
      size: in pixels, at the least 1. Every pixel in between counts, also one that a stride or dilation skips.
      stride: pixels from one response's field to the next one's.
      offset: the first pixel that response 0 sees; negative where that lies in the padding.
    """

    size: int = 1
    stride: int = 1
    offset: int = 0

    def window(self, size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> "Field":
        """The fields of the windows of a convolution or pool on a map with these fields.

        Args:
          size: responses in a window.
          stride: responses from one window to the next.
          padding: responses added before the first.
          dilation: responses from one of a window to its next.

        >>> Field().window(3, padding=1).window(3, padding=1).window(3, padding=1)  # three of 3x3 see 7x7
        Field(size=7, stride=1, offset=-3)
        """
        reach = (size - 1) * dilation * self.stride
        return Field(self.size + reach, self.stride * stride, self.offset - padding * self.stride)

    def union(self, other: "Field") -> "Field":
        """The smallest field that has both in it: at every response if the strides are the same, else at the first.

        >>> Field(size=3, offset=-1).union(Field(size=1))
        Field(size=3, stride=1, offset=-1)
        """
        offset = min(self.offset, other.offset)
        size = max(self.offset + self.size, other.offset + other.size) - offset
        return Field(size, math.lcm(self.stride, other.stride), offset)


@dataclass(frozen=True)
class Axis:
    """What has become of one axis of the image in an array.

    Attributes:
      dimension: where it is; None once it has been summed up, and every entry sees the same.
      length: positions along it.
      field: the receptive fields along it, or None if they are unknown.
      merged: whether a reshape has put it into one dimension together with others.
    """

    dimension: int | None
    length: int
    field: Field | None
    merged: bool = False

    def to(self, dimension: int | None) -> "Axis":
        """The same in another dimension."""
        return replace(self, dimension=dimension)

    def summed(self) -> "Axis":
        """Of what sees all positions."""
        return Axis(None, 1, self.field and self.field.window(self.length))

    def part(self, start: int, length: int, step: int = 1) -> "Axis":
        """Of so many positions from `start`, `step` apart; before the first and after the last there is padding."""
        if self.merged:
            return LOST
        return replace(self, length=int(length), field=self.field and self.field.window(1, int(step), -int(start)))


LOST = Axis(None, 1, None)
"""Of an array that depends on the image in an unknown way."""

Rule = Callable[[Operation, Axis, int], Axis]
"""From what an operation's input has, and the dimension that it has it in, to what the output has."""


def axes_of(trace: Trace, dimension: int) -> dict[Value, Axis]:
    """What one axis of the images becomes in each array that depends on them.

    Args:
      dimension: of the images `[N, H, W, C]`: 1 for the rows, 2 for the columns.
    """
    weights = dependents(trace.operations, trace.variables)
    axes = {trace.image: Axis(dimension, trace.image.shape[dimension], Field())}
    for operation in trace.operations:
        seen = [axes.get(value) for value in operation.inputs]
        if any(seen):
            axes |= zip(operation.outputs, _outputs(operation, seen, weights), strict=True)
    return axes


def _outputs(operation: Operation, seen: Sequence[Axis | None], weights: Collection[Value]) -> list[Axis]:
    """What the outputs of an operation have, some of whose inputs see the image."""
    name, count = operation.name, len(operation.outputs)
    if name in UNCHANGED:
        return [axis or LOST for axis in seen]
    of_image = [axis for axis in seen if axis is not None]
    if name == "split":
        return _split(operation, of_image[0])
    if name == "dot_general":
        of_image = [_dot(operation, side, axis, weights) for side, axis in enumerate(seen) if axis is not None]
    elif name not in ELEMENTWISE:
        rule = JOINING.get(name) or (RULES.get(name) if seen[0] is not None and len(of_image) == 1 else None)
        if rule is None:
            return [LOST] * count
        of_image = [axis if axis.dimension is None else rule(operation, axis, axis.dimension) for axis in of_image]
    return [_join(of_image)] * count


def _join(axes: Sequence[Axis]) -> Axis:
    """What an entry has that sees the same entry of several arrays."""
    first, *others = axes
    for axis in others:
        if first.length == axis.length == 1:
            dimension = axis.dimension if first.dimension is None else first.dimension
            field = first.field and axis.field and first.field.union(axis.field)
            first = Axis(dimension, 1, field)
        elif replace(first, field=None) != replace(axis, field=None):
            return LOST
        elif first.field and axis.field and first.field.stride == axis.field.stride:
            first = replace(first, field=first.field.union(axis.field))
        else:
            first = replace(first, field=None)
    return first


def _window(
    operation: Operation, axis: Axis, output: int, size: int, stride: int, padding: int, dilation: int, between: int
) -> Axis:
    """Of windows along the axis, which is the dimension `output` then; `between`: dilation of the input."""
    if axis.merged:
        return axis if (size, stride, padding, dilation, between) == (1, 1, 0, 1, 1) else LOST
    known = axis.field if between == 1 else None
    field = known and known.window(int(size), int(stride), int(padding), int(dilation))
    return Axis(output, operation.outputs[0].shape[output], field)


def _convolution(operation: Operation, axis: Axis, dimension: int) -> Axis:
    options = operation.options
    (batch, channels, *spatial), (_, _, *window), (out_batch, _, *out_spatial) = options["dimension_numbers"]
    if options["batch_group_count"] != 1:
        return LOST
    if dimension == batch:
        return axis.to(out_batch)
    if dimension == channels:
        return axis.summed() if options["feature_group_count"] == 1 else LOST
    i = spatial.index(dimension)
    size, padding = operation.inputs[1].shape[window[i]], options["padding"][i][0]
    stride, dilation, between = (options[name][i] for name in ("window_strides", "rhs_dilation", "lhs_dilation"))
    return _window(operation, axis, out_spatial[i], size, stride, padding, dilation, between)


def _pool(operation: Operation, axis: Axis, dimension: int) -> Axis:
    names = ("window_dimensions", "window_strides", "padding", "window_dilation", "base_dilation")
    size, stride, padding, dilation, between = (operation.options[name][dimension] for name in names)
    return _window(operation, axis, dimension, size, stride, padding[0], dilation, between)


def _dot(operation: Operation, side: int, axis: Axis, weights: Collection[Value]) -> Axis:
    contracting, batch = operation.options["dimension_numbers"]
    if axis.dimension is None:
        return axis
    if axis.dimension in contracting[side]:
        # A sum with weights sees all positions. One with constants, such as a resizing, may leave some out.
        return axis.summed() if axis.length == 1 or operation.inputs[1 - side] in weights else LOST
    if axis.dimension in batch[side]:
        return axis.to(list(batch[side]).index(axis.dimension))
    taken = {*contracting[side], *batch[side]}
    free = [d for d in range(len(operation.inputs[side].shape)) if d not in taken]
    before = len(batch[side])
    if side == 1:
        before += len(operation.inputs[0].shape) - len(contracting[0]) - len(batch[0])
    return axis.to(before + free.index(axis.dimension))


def _split(operation: Operation, axis: Axis) -> list[Axis]:
    sizes = operation.options["sizes"]
    if axis.dimension != operation.options["axis"]:
        return [axis] * len(sizes)
    return [axis.part(sum(sizes[:i]), size) for i, size in enumerate(sizes)]


def _slice(operation: Operation, axis: Axis, dimension: int) -> Axis:
    starts, strides = operation.options["start_indices"], operation.options["strides"]
    return axis.part(starts[dimension], operation.outputs[0].shape[dimension], strides[dimension] if strides else 1)


def _pad(operation: Operation, axis: Axis, dimension: int) -> Axis:
    before, _, between = operation.options["padding_config"][dimension]
    return LOST if between else axis.part(-before, operation.outputs[0].shape[dimension])


def _broadcast(operation: Operation, axis: Axis, dimension: int) -> Axis:
    place = operation.options["broadcast_dimensions"][dimension]
    same = operation.outputs[0].shape[place] == operation.inputs[0].shape[dimension]
    return axis.to(place if same else None)


def _removed(axis: Axis, dimension: int, gone: Sequence[int], removed: Axis) -> Axis:
    """With the dimensions `gone` left out; `removed` where the axis is one of them."""
    return removed if dimension in gone else axis.to(dimension - sum(other < dimension for other in gone))


def _reshape(operation: Operation, axis: Axis, dimension: int) -> Axis:
    if operation.inputs[0].shape[dimension] == 1:
        return axis.to(None)
    if operation.options["dimensions"] is not None:
        return LOST
    for old, new in _corresponding(operation.inputs[0].shape, operation.outputs[0].shape):
        if dimension in old and len(new) == 1:
            merges = len(old) > 1
            return LOST if merges and axis.merged else Axis(new[0], axis.length, axis.field, merges or axis.merged)
    return LOST


def _corresponding(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest groups of dimensions (of lengths above 1) that hold the same entries in two shapes.

    `(8, 6, 6, 16)` and `(8, 576)` have `([0], [0])` and `([1, 2, 3], [1])`.
    """
    groups = []
    left, right = [d for d, n in enumerate(old) if n != 1], [d for d, n in enumerate(new) if n != 1]
    while left and right:
        group: tuple[list[int], list[int]] = ([left.pop(0)], [right.pop(0)])
        sizes = [old[group[0][0]], new[group[1][0]]]
        while sizes[0] != sizes[1]:
            side = int(sizes[0] > sizes[1])
            group[side].append((left, right)[side].pop(0))
            sizes[side] *= (old, new)[side][group[side][-1]]
        groups.append(group)
    return groups


JOINING: dict[str, Rule] = {
    "concatenate": lambda o, axis, d: LOST if d == o.options["dimension"] else axis,
    "stack": lambda o, axis, d: axis.to(d + (o.options["axis"] <= d)),
}
"""Of operations that put several arrays together."""

RULES: dict[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "conv_general_dilated": _convolution,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "squeeze": lambda o, axis, d: _removed(axis, d, o.options["dimensions"], axis.to(None)),
    "transpose": lambda o, axis, d: axis.to(list(o.options["permutation"]).index(d)),
}
REDUCTIONS = ("argmax", "argmin", *(f"reduce_{name}" for name in ("and", "max", "min", "or", "prod", "sum")))
RULES |= dict.fromkeys(REDUCTIONS, lambda o, axis, d: _removed(axis, d, o.options["axes"], axis.summed()))
RULES |= dict.fromkeys(("reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"), _pool)


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
