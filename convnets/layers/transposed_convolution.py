"""Transposed convolution: learnable up-sampling (lecture: "Learnable Upsampling: Transposed Convolution").

A convolution of a w x w input with a filter of f x f, stride s and padding p is a matrix M_F, `vec(S) = M_F vec(X)`,
and its result is w' x w' with w' = (w - f + 2p) / s + 1. The transposed convolution takes maps of w' x w' to w x w:

    vec(X~) = M_F^T vec(S~),    w = (w' - 1) s - 2p + f + output padding

The output padding, below s, says which of the s inputs that have the same w' is meant. With dilation d the filter
covers (f - 1) d + 1 pixels, which stand for f in the sizes. `lecture_matrices` has the matrix itself.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.layers.convolution import checked_result, is_compiled, window
from convnets.layers.fully_connected import fully_connected
from convnets.layers.geometry import Geometry, Padding, Pair, check_floating, geometry, pair
from convnets.layers.implementation import kernels
from convnets.layers.initializers import transposed_he_normal

COARSE = 8
"""The stride from which on a matrix product for all phases is faster than oneDNN's gradient, in which a filter of many
pixels meets few channels."""


class TransposedConvolution(nn.Module):
    """Square filters laid down `stride` pixels apart and added; parameters `kernel [size, size, features, C]`, `bias`.

    The kernel is that of the convolution whose transpose this is, which takes `features` channels to C.

    Attributes:
      features: number of channels of the result.
      size: height and width of each filter, in pixels: f.
      stride: how many times larger the result is: s.
      padding: pixels cut from each side of the result: p.
      output_padding: pixels added below and at the right of the result.
      dilation: distance of a filter's taps, in pixels: d.
      use_bias: whether each channel has a bias; False where a batch norm follows.
      kernel_init: of the kernel; by default `transposed_he_normal` of the stride.
      holes: whether some pixels of the result may be out of reach of all taps, and never be more than the bias: so it
        is where the stride is larger than the filter (lecture: "Should not have s > f"), or shares a divisor with the
        dilation.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    output_padding: int = 0
    dilation: int = 1
    use_bias: bool = True
    kernel_init: Callable[..., Array] | None = None
    holes: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, H, W, C] -> [N, (H - 1) stride - 2 padding + (size - 1) dilation + 1 + output_padding, ..., features]`.

        Raises:
          InvalidValue: sizes that aren't positive, holes that aren't permitted, padding that leaves out a whole filter,
            output padding of a stride or more, or a map of which nothing is left.
        """
        name = f"the transposed convolution '{'/'.join(self.path)}'"
        if self.features < 1:
            raise InvalidValue(f"{name} has features {self.features}, and must have at least 1")
        check(name, self.size, self.stride, self.padding, self.output_padding, self.dilation, holes=self.holes)
        fields = self.size, self.stride, self.padding, self.output_padding, self.dilation
        if min(output_size(length, *fields) for length in x.shape[1:3]) < 1:
            raise InvalidValue(
                f"{name} was given a map of {x.shape[1]} x {x.shape[2]}, of which its padding of {self.padding} leaves "
                "nothing: use a larger map or less padding"
            )
        shape = (self.size, self.size, self.features, x.shape[-1])
        kernel = self.param("kernel", self.kernel_init or transposed_he_normal(self.stride), shape, jnp.float32)
        y = transposed_convolution(
            jnp.asarray(x, self.dtype),
            kernel,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
        )
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32).astype(self.dtype)
        return y


def output_size(length: int, size: int, stride: int, padding: int, output_padding: int, dilation: int) -> int:
    """w of the lecture: how many pixels become of w' = `length`, `(w' - 1) s - 2p + (f - 1) d + 1 + output padding`."""
    return (length - 1) * stride - 2 * padding + (size - 1) * dilation + 1 + output_padding


def check(
    name: str, size: int, stride: int, padding: int, output_padding: int, dilation: int, *, holes: bool = False
) -> None:
    """Refuses what is no transposed convolution, or leaves holes, as `TransposedConvolution` says.

    Args:
      name: of what has these numbers, for the error.

    Raises:
      InvalidValue: which number it is, and what is allowed.
    """
    for field, number in {"size": size, "stride": stride, "dilation": dilation}.items():
        if number < 1:
            raise InvalidValue(f"{name} has {field} {number}, and must have at least 1")
    reach = (size - 1) * dilation
    if not 0 <= padding <= reach:
        raise InvalidValue(f"{name} has padding {padding}, and its filters of {reach + 1} pixels allow 0 to {reach}")
    if not 0 <= output_padding < stride:
        raise InvalidValue(
            f"{name} has output padding {output_padding}, and its stride of {stride} allows 0 to {stride - 1}"
        )
    if not holes and stride > size:
        raise InvalidValue(
            f"{name} has stride {stride} and filters of {size} x {size}, which leave holes: use filters of at least "
            f"{stride} x {stride}, or holes=True if that is meant"
        )
    if not holes and math.gcd(stride, dilation) > 1:
        raise InvalidValue(
            f"{name} has stride {stride} and dilation {dilation}, which leave holes: use numbers without a common "
            "divisor, or holes=True if that is meant"
        )


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
    if min(side) < 1 or checked_result(jax.ShapeDtypeStruct(shape, x.dtype), kernel, where).shape != x.shape:
        raise InvalidValue(
            f"a transposed convolution of {x.shape} by kernel {kernel.shape} with stride {where.strides}, padding "
            f"{where.padding} and output padding {extra} has no result: output padding must be less than the stride, "
            "and padding must leave something"
        )
    if not is_compiled(x, shape, kernel, where):
        return _by_jax(x, kernel, where, extra)
    if min(where.strides) >= COARSE and where.dilation == (1, 1):
        return _by_phases(x, kernel, where, (side[0], side[1]))
    return kernels.input_gradient(x, kernel, window(where), shape)


def _by_jax(x: Array, kernel: Array, geometry: Geometry, output_padding: tuple[int, int]) -> Array:
    """`[N, H, W, C]`, `[h, w, F, C] -> [N, ..., F]`, in the type of `x`.

    The rotated kernel slides by one position over `x` with zeros between its entries and around them (lecture).
    """
    reach = [(kernel.shape[i] - 1) * geometry.dilation[i] for i in (0, 1)]
    return lax.conv_general_dilated(
        x,
        jnp.flip(kernel.astype(x.dtype), (0, 1)),
        (1, 1),
        [(reach[i] - geometry.padding[i][0], reach[i] - geometry.padding[i][1] + output_padding[i]) for i in (0, 1)],
        lhs_dilation=geometry.strides,
        rhs_dilation=geometry.dilation,
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )


def _by_phases(x: Array, kernel: Array, where: Geometry, size: tuple[int, int]) -> Array:
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
