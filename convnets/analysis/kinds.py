"""Layers in words: `convolution 3×3/1`, `batch norm`, `max pool 2×2/2`."""

import re
from collections.abc import Sequence

from convnets.analysis.trace import Operation

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
    words = _size_and_stride([operation.inputs[1].shape[d] for d in window], stride)
    if set(options["rhs_dilation"]) != {1}:
        words += f", dilation {_product(options['rhs_dilation'])}"
    if options["feature_group_count"] > 1:
        words += f", {options['feature_group_count']} groups"
    return words


def pool_in_words(operation: Operation, dimensions: Sequence[int]) -> str:
    """The regions of a `reduce_window_...` in its spatial dimensions; empty for a global pool."""
    if not operation.name.startswith("reduce_window"):
        return ""
    options = operation.options
    words = _size_and_stride(*([options[o][d] for d in dimensions] for o in ("window_dimensions", "window_strides")))
    dilation = [options["window_dilation"][d] for d in dimensions]
    return words if set(dilation) == {1} else f"{words}, dilation {_product(dilation)}"


def _size_and_stride(size: Sequence[int], stride: Sequence[int]) -> str:
    return "×".join(map(str, size)) + f"/{_product(stride)}"


def _product(numbers: Sequence[int]) -> str:
    """One number if all are the same: `2`, else `2×1`."""
    return str(numbers[0]) if len(set(numbers)) == 1 else "×".join(map(str, numbers))
