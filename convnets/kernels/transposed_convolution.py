"""Transposed convolution: the gradient of a convolution to its input, as an operation of its own."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.kernels import plain
from convnets.kernels.choice import implementation
from convnets.kernels.convolution import checked, compiled
from convnets.kernels.fully_connected import fully_connected
from convnets.kernels.geometry import Geometry, Padding, Pair, geometry, pair
from convnets.kernels.onednn import convolution as onednn
from convnets.kernels.onednn.library import multiplies_bfloat16
from convnets.kernels.operands import check_floating

COARSE = 8
"""The stride from which on a matrix product for all phases is faster than oneDNN's gradient, in which a filter of many
pixels meets few channels."""


def transposed_convolution(
    x: Array,
    kernel: Array,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
) -> Array:
    """The gradient of a convolution to its input, as an operation of its own (lecture: transposed convolution).

    Args:
      x: `[N, H, W, C]`, what the convolution would give.
      kernel: `[h, w, F, C]`, the convolution's.
      padding: the convolution's: so many pixels are cut from each side of the result.
      output_padding: pixels added below and at the right of the result.

    Returns:
      `[N, (H - 1) stride - padding + (h - 1) dilation + 1 + output_padding, ..., F]`.

    Raises:
      InvalidValue: shapes that don't fit one another, nothing left of the result, or other types.
    """
    check_floating("a transposed convolution", x=x, kernel=kernel)
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[-1] != kernel.shape[-1]:
        raise InvalidValue(
            f"a transposed convolution of {x.shape} by kernel {kernel.shape} does not fit: it takes [N, H, W, C] and "
            "[h, w, F, C]"
        )
    where = geometry(stride, padding, dilation, 1)
    extra = pair(output_padding)
    side = [
        (x.shape[1 + i] - 1) * where.strides[i]
        - sum(where.padding[i])
        + (kernel.shape[i] - 1) * where.dilation[i]
        + 1
        + extra[i]
        for i in (0, 1)
    ]
    shape = (x.shape[0], *side, kernel.shape[2])
    wide = jax.ShapeDtypeStruct(shape, x.dtype)
    if min(side) < 1 or checked(wide, kernel, None, None, None, where).shape != x.shape:
        raise InvalidValue(
            f"a transposed convolution of {x.shape} by kernel {kernel.shape} with stride {where.strides}, padding "
            f"{where.padding} and output padding {extra} has no result: output padding must be less than the stride, "
            "and padding must leave something"
        )
    if implementation() != "onednn" or not compiled(x, shape, kernel, where):
        return plain.transposed_convolution(x, kernel, where, extra)
    if min(where.strides) >= COARSE and where.dilation == (1, 1):
        return by_phases(x, kernel, where, (side[0], side[1]))
    if x.dtype == jnp.bfloat16 and not multiplies_bfloat16():
        result = onednn.input_gradient(x.astype(jnp.float32), kernel.astype(jnp.float32), where, shape)
        return result.astype(x.dtype)
    return onednn.input_gradient(x, kernel, where, shape)


def by_phases(x: Array, kernel: Array, where: Geometry, size: tuple[int, int]) -> Array:
    """A transposed convolution without dilation as matrix products (after Shi et al., "Real-Time Single Image and
    Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016).

    Pixels of one phase, those with the same remainder of their place by the stride, see the same entries of the
    filter. So a few neighbouring responses of `x` by a matrix give a block of pixels with all phases. There is a matrix
    for each phase of rows: what it gives are whole rows of the result.

    Args:
      size: height and width of the result, the output padding included.
    """
    (down, across), (features, channels) = where.strides, kernel.shape[2:]
    axes = [_blocks(x.shape[1 + i], kernel.shape[i], where.strides[i], where.padding[i][0], size[i]) for i in (0, 1)]
    (rows, high, tall), (columns, wide, broad) = axes
    kernel = jnp.pad(kernel, (tall, broad, (0, 0), (0, 0)))
    kernel = kernel.reshape(rows, down, columns, across, features, channels)[::-1, :, ::-1]
    kernel = kernel.transpose(1, 0, 2, 5, 3, 4).reshape(down, rows * columns * channels, -1)
    n = x.shape[0]
    h, w = x.shape[1] + sum(high) - rows + 1, x.shape[2] + sum(wide) - columns + 1
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*high, 0), (*wide, 0), (0, 0, 0)))
    shifted = [x[:, i : i + h, j : j + w] for i in range(rows) for j in range(columns)]
    neighbours = jnp.concatenate(shifted, axis=-1).reshape(n * h * w, -1)
    phases = [fully_connected(neighbours, kernel[phase]).reshape(n, h, -1) for phase in range(down)]
    y = jnp.stack(phases, axis=2).reshape(n, h * down, w * across, features)
    return y[:, : size[0], : size[1]]


def _blocks(length: int, taps: int, stride: int, cut: int, wanted: int) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """How blocks of `stride` pixels, the first of which begins at pixel `cut`, come from responses along one axis.

    Returns:
      Responses that a block comes from; how many are added (or, negative, left out) at both ends; zeros at both ends of
      the filter.
    """
    first = -cut % stride
    neighbours = -(-(first + taps) // stride)
    before = neighbours - 1 - (cut + first) // stride
    after = -(-wanted // stride) + neighbours - 1 - length - before
    return neighbours, (before, after), (first, neighbours * stride - first - taps)
