"""How many multiply-adds an operation takes, by the formula of papers and of torchvision.

Every tap of a window counts, one that falls on padding too. Only convolutions and products with weights count:
additions, norms, pools and activations don't.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr

from convnets.analysis.trace import Operation, Value
from convnets.errors import InvalidValue

PRODUCTS = ("conv_general_dilated", "dot_general")


def multiply_adds(operation: Operation, image: Collection[Value], weights: Collection[Value]) -> int:
    """Of a convolution or matrix product of what sees the image with what depends on weights; 0 of anything else.

    Args:
      image: the values that depend on the image.
      weights: the values that depend on the network's variables.

    Raises:
      InvalidValue: products in a loop or a condition, which says nothing about how often they are computed.
    """
    if operation.name not in PRODUCTS:
        hidden = next((name for name in _names_in(operation.options.values()) if name in PRODUCTS), None)
        if hidden:
            raise InvalidValue(
                f"multiply-adds can't be counted inside a {operation.name!r}, which has a {hidden!r} here: "
                f"write the network without it"
            )
        return 0
    left, right = operation.inputs
    if not (left in image and right in weights) and not (left in weights and right in image):
        return 0
    return _of_convolution(operation) if operation.name == "conv_general_dilated" else _of_product(operation)


def _of_convolution(operation: Operation) -> int:
    (maps, kernel), [output] = operation.inputs, operation.outputs
    lhs, rhs, _ = operation.options["dimension_numbers"]
    if any(dilation != 1 for dilation in operation.options["lhs_dilation"]):
        # A transposed convolution: the zeros between the positions of the input are not counted.
        return maps.shape[lhs[0]] * math.prod(maps.shape[d] for d in lhs[2:]) * math.prod(kernel.shape)
    taps = math.prod(kernel.shape) // kernel.shape[rhs[0]]
    return math.prod(output.shape) * taps


def _of_product(operation: Operation) -> int:
    (contracting, _), _ = operation.options["dimension_numbers"]
    left, [output] = operation.inputs[0], operation.outputs
    return math.prod(output.shape) * math.prod(left.shape[d] for d in contracting)


def _names_in(options: Any) -> Iterator[str]:
    """The primitives in the jaxprs among an operation's options."""
    for option in options:
        if isinstance(option, tuple | list):
            yield from _names_in(option)
        elif isinstance(option, Jaxpr | ClosedJaxpr):
            for equation in option.eqns:
                yield equation.primitive.name
                yield from _names_in(equation.params.values())
