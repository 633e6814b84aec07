"""Receptive fields of everything that a network computes, from what each operation does to the image's rows or columns.

Each array that depends on the image remembers which of its dimensions the image's axis has become, and the receptive
field along it. What an operation does to the two is a rule, by the operation's name. Where no rule applies the field is
unknown and stays so: it is never guessed.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convnets.analysis.receptive_field import Field
from convnets.analysis.trace import Operation, Trace, Value, dependents

# fmt: off
ELEMENTWISE = frozenset({
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e",
    "bessel_i1e", "cbrt", "ceil", "clamp", "clz", "complex", "conj", "convert_element_type", "cos", "cosh", "digamma",
    "div", "eq", "eq_to", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "igamma", "igammac",
    "imag", "integer_pow", "is_finite", "le", "le_to", "lgamma", "log", "log1p", "log2", "logistic", "lt", "lt_to",
    "max", "min", "mul", "mulhi", "ne", "neg", "nextafter", "not", "one_minus_square", "or", "polygamma",
    "population_count", "pow", "real", "reduce_precision", "regularized_incomplete_beta", "rem", "round", "rsqrt",
    "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square",
    "sub", "tan", "tanh", "xor", "zeta",
})
"""The primitives that compute each entry from the same entry of their inputs."""

UNCHANGED = frozenset({
    "copy", "copy_p", "device_put", "layout_constraint", "name", "optimization_barrier", "pcast", "pvary",
    "sharding_constraint", "stop_gradient",
})
"""They give back what they take, one output for each input."""
# fmt: on

REARRANGING = frozenset({"broadcast_in_dim", "reshape", "squeeze", "transpose"})
"""They keep every entry."""


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


LOST = Axis(None, 1, None)
"""Of an array that depends on the image in an unknown way."""

Rule = Callable[[Operation, Axis], Axis]
"""From what an operation's input has to what its output has."""


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
    name = operation.name
    of_image = [axis for axis in seen if axis is not None]
    if name == "split":
        return _split(operation, of_image[0])
    if name in UNCHANGED:
        return [axis or LOST for axis in seen]
    if name in ELEMENTWISE:
        axis = _join(of_image)
    elif name == "dot_general":
        axis = _join([_dot(operation, side, axis, weights) for side, axis in enumerate(seen) if axis is not None])
    elif name in ("concatenate", "stack"):
        axis = _join([RULES[name](operation, axis) for axis in of_image])
    elif name in RULES and seen[0] is not None and len(of_image) == 1:
        axis = RULES[name](operation, seen[0])
    else:
        axis = LOST
    return [axis] * len(operation.outputs)


def _join(axes: Sequence[Axis]) -> Axis:
    """What an entry has that sees the same entry of several arrays."""
    first, *others = axes
    for axis in others:
        if first.length == axis.length == 1:
            dimension = axis.dimension if first.dimension is None else first.dimension
            field = first.field and axis.field and first.field.union_of_single(axis.field)
            first = Axis(dimension, 1, field)
        elif replace(first, field=None) != replace(axis, field=None):
            return LOST
        elif first.field and axis.field and first.field.stride == axis.field.stride:
            first = replace(first, field=first.field.union(axis.field))
        else:
            first = replace(first, field=None)
    return first


def _summed(axis: Axis) -> Axis:
    """Of what sees all positions."""
    return Axis(None, 1, axis.field and axis.field.over(axis.length))


def _moved(axis: Axis, dimension: int) -> Axis:
    return replace(axis, dimension=dimension)


def _window(operation: Operation, axis: Axis, output_dimension: int, known: bool, *window: Any) -> Axis:
    """Of windows along the axis, `window` as in `Field.window`; `known` unless zeros were put between positions."""
    if axis.merged:
        return axis if known and window == (1, 1, 0, 1) else LOST
    field = axis.field.window(*map(int, window)) if axis.field and known else None
    return Axis(output_dimension, operation.outputs[0].shape[output_dimension], field)


def _convolution(operation: Operation, axis: Axis) -> Axis:
    options = operation.options
    (batch, channels, *spatial), (_, _, *window), (out_batch, _, *out_spatial) = options["dimension_numbers"]
    if options["batch_group_count"] != 1:
        return LOST
    if axis.dimension is None:
        return axis
    if axis.dimension == batch:
        return _moved(axis, out_batch)
    if axis.dimension == channels:
        return _summed(axis) if options["feature_group_count"] == 1 else LOST
    i = spatial.index(axis.dimension)
    size, stride = operation.inputs[1].shape[window[i]], options["window_strides"][i]
    padding, dilation = options["padding"][i][0], options["rhs_dilation"][i]
    known = options["lhs_dilation"][i] == 1
    return _window(operation, axis, out_spatial[i], known, size, stride, padding, dilation)


def _pool(operation: Operation, axis: Axis) -> Axis:
    options, i = operation.options, axis.dimension
    if i is None:
        return axis
    size, stride = options["window_dimensions"][i], options["window_strides"][i]
    padding, dilation = options["padding"][i][0], options["window_dilation"][i]
    return _window(operation, axis, i, options["base_dilation"][i] == 1, size, stride, padding, dilation)


def _dot(operation: Operation, side: int, axis: Axis, weights: Collection[Value]) -> Axis:
    contracting, batch = operation.options["dimension_numbers"]
    if axis.dimension is None:
        return axis
    if axis.dimension in contracting[side]:
        # A sum with weights sees all positions. One with constants, such as a resizing, may leave some out.
        return _summed(axis) if axis.length == 1 or operation.inputs[1 - side] in weights else LOST
    if axis.dimension in batch[side]:
        return _moved(axis, list(batch[side]).index(axis.dimension))
    taken = {*contracting[side], *batch[side]}
    free = [d for d in range(len(operation.inputs[side].shape)) if d not in taken]
    before = len(batch[side])
    if side == 1:
        before += len(operation.inputs[0].shape) - len(contracting[0]) - len(batch[0])
    return _moved(axis, before + free.index(axis.dimension))


def _concatenate(operation: Operation, axis: Axis) -> Axis:
    return LOST if axis.dimension == operation.options["dimension"] else axis


def _stack(operation: Operation, axis: Axis) -> Axis:
    return (
        axis if axis.dimension is None else _moved(axis, axis.dimension + (operation.options["axis"] <= axis.dimension))
    )


def _split(operation: Operation, axis: Axis) -> list[Axis]:
    sizes, along = operation.options["sizes"], operation.options["axis"]
    if axis.dimension != along:
        return [axis] * len(sizes)
    return [_part(axis, sum(sizes[:i]), size, 1) for i, size in enumerate(sizes)]


def _slice(operation: Operation, axis: Axis) -> Axis:
    i, options = axis.dimension, operation.options
    if i is None:
        return axis
    step = options["strides"][i] if options["strides"] else 1
    return _part(axis, options["start_indices"][i], operation.outputs[0].shape[i], step)


def _pad(operation: Operation, axis: Axis) -> Axis:
    if axis.dimension is None:
        return axis
    before, _, between = operation.options["padding_config"][axis.dimension]
    return LOST if between else _part(axis, -before, operation.outputs[0].shape[axis.dimension], 1)


def _part(axis: Axis, start: int, length: int, step: int) -> Axis:
    """Of so many positions from `start`, `step` apart; what is before the first or after the last is padding."""
    if axis.merged:
        return LOST
    return replace(axis, length=int(length), field=axis.field and axis.field.window(1, int(step), -int(start)))


def _broadcast(operation: Operation, axis: Axis) -> Axis:
    if axis.dimension is None:
        return axis
    dimension = operation.options["broadcast_dimensions"][axis.dimension]
    if operation.outputs[0].shape[dimension] != operation.inputs[0].shape[axis.dimension]:
        return replace(axis, dimension=None)
    return _moved(axis, dimension)


def _reduce(operation: Operation, axis: Axis) -> Axis:
    if axis.dimension in operation.options["axes"]:
        return _summed(axis)
    return _without(axis, operation.options["axes"])


def _squeeze(operation: Operation, axis: Axis) -> Axis:
    if axis.dimension in operation.options["dimensions"]:
        return replace(axis, dimension=None)
    return _without(axis, operation.options["dimensions"])


def _without(axis: Axis, dimensions: Sequence[int]) -> Axis:
    """With these other dimensions gone."""
    if axis.dimension is None:
        return axis
    return _moved(axis, axis.dimension - sum(gone < axis.dimension for gone in dimensions))


def _transpose(operation: Operation, axis: Axis) -> Axis:
    if axis.dimension is None:
        return axis
    return _moved(axis, list(operation.options["permutation"]).index(axis.dimension))


def _reshape(operation: Operation, axis: Axis) -> Axis:
    if axis.dimension is None or operation.inputs[0].shape[axis.dimension] == 1:
        return replace(axis, dimension=None)
    if operation.options["dimensions"] is not None:
        return LOST
    for old, new in _corresponding(operation.inputs[0].shape, operation.outputs[0].shape):
        if axis.dimension in old and len(new) == 1:
            merges = len(old) > 1
            return LOST if merges and axis.merged else Axis(new[0], axis.length, axis.field, merges or axis.merged)
    return LOST


def _corresponding(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest groups of dimensions (of lengths above 1) that hold the same entries in two shapes.

    >>> _corresponding((8, 6, 6, 16), (8, 576))
    [([0], [0]), ([1, 2, 3], [1])]
    """
    groups = []
    left, right = [d for d, n in enumerate(old) if n != 1], [d for d, n in enumerate(new) if n != 1]
    while left and right:
        group: tuple[list[int], list[int]] = ([left.pop(0)], [right.pop(0)])
        sizes = [old[group[0][0]], new[group[1][0]]]
        while sizes[0] != sizes[1]:
            if sizes[0] < sizes[1]:
                group[0].append(left.pop(0))
                sizes[0] *= old[group[0][-1]]
            else:
                group[1].append(right.pop(0))
                sizes[1] *= new[group[1][-1]]
        groups.append(group)
    return groups


RULES: dict[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "squeeze": _squeeze,
    "stack": _stack,
    "transpose": _transpose,
}
RULES |= {f"reduce_{name}": _reduce for name in ("and", "max", "min", "or", "prod", "sum")}
RULES |= dict.fromkeys(("argmax", "argmin"), _reduce)
RULES |= dict.fromkeys(("reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"), _pool)
