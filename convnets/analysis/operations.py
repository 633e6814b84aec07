"""Kinds of operations, and what is counted of them: multiply-adds, and what is summed over devices."""

import math
from collections.abc import Collection, Iterable, Iterator

import jax

from convnets.analysis.trace import Operation, Value
from convnets.errors import InvalidValue

CONVOLUTION = "conv_general_dilated"
PRODUCTS = (CONVOLUTION, "dot_general")
SUMS = ("psum", "psum_invariant")
"""Names of JAX's sum over devices: under `pmap`, and under `shard_map` that checks what varies."""


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


def multiply_adds(operation: Operation, image: Collection[Value], weights: Collection[Value]) -> int:
    """Of a convolution or matrix product of what sees the image with what depends on weights; 0 of anything else.

    By the formula of papers and of torchvision: every tap of a window counts, one that falls on padding too; additions,
    norms, pools and activations don't.

    Args:
      image: the values that depend on the image.
      weights: the values that depend on the network's variables.

    Raises:
      InvalidValue: products in a loop or a condition, which says nothing about how often they are computed.
    """
    if operation.name not in PRODUCTS:
        hidden = next((name for name in _names_in(operation.body) if name in PRODUCTS), None)
        if hidden:
            raise InvalidValue(
                f"multiply-adds can't be counted inside a {operation.name!r}, which has a {hidden!r} here: write the "
                "network without it"
            )
        return 0
    left, right = operation.inputs
    if not (left in image and right in weights) and not (left in weights and right in image):
        return 0
    return of_product(operation)


def of_product(operation: Operation) -> int:
    """Multiply-adds of any convolution or matrix product."""
    (left, right), [output], options = operation.inputs, operation.outputs, operation.options
    if operation.name != CONVOLUTION:
        (contracting, _), _ = options["dimension_numbers"]
        return math.prod(output.shape) * math.prod(left.shape[d] for d in contracting)
    lhs, rhs, _ = options["dimension_numbers"]
    if any(dilation != 1 for dilation in options["lhs_dilation"]):
        # A transposed convolution: the zeros between the positions of the input are not counted.
        return left.shape[lhs[0]] * math.prod(left.shape[d] for d in lhs[2:]) * math.prod(right.shape)
    return math.prod(output.shape) * math.prod(right.shape) // right.shape[rhs[0]]


def _names_in(operations: Iterable[Operation]) -> Iterator[str]:
    for operation in operations:
        yield operation.name
        yield from _names_in(operation.body)


def all_reduces(operations: Iterable[Operation], axis: str) -> Iterator[jax.ShapeDtypeStruct]:
    """The arrays of one device that are summed over the named axis, in the order of the program.

    Those in a loop of known length come as often as it runs.

    Raises:
      InvalidValue: a sum in a loop or a condition, which says nothing about how often it is computed.
    """
    for operation in operations:
        if operation.name in SUMS and axis in operation.options["axes"]:
            yield from (jax.ShapeDtypeStruct(value.shape, value.dtype) for value in operation.inputs)
            continue
        inside = list(all_reduces(operation.body, axis))
        if inside and operation.name in ("while", "cond"):
            raise InvalidValue(
                f"sums over devices can't be counted inside a {operation.name!r}: write the step without it"
            )
        yield from inside * (operation.options["length"] if operation.name == "scan" else 1)
