"""Transposed convolution: learnable up-sampling (lecture: "Learnable Upsampling: Transposed Convolution").

A convolution of a w x w input with a filter of f x f, stride s and padding p is a matrix M_F, `vec(S) = M_F vec(X)`,
and its result is w' x w' with w' = (w - f + 2p) / s + 1. The transposed convolution takes maps of w' x w' to w x w:

    vec(X~) = M_F^T vec(S~),    w = (w' - 1) s - 2p + f + output padding

The output padding, below s, says which of the s inputs that have the same w' is meant. With dilation d the filter
covers (f - 1) d + 1 pixels, which stand for f in the sizes. Three ways compute it, and agree to rounding: `by_matrix`,
`by_inserted_zeros`, and the fast one of networks, `kernels.transposed_convolution`.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from convnets import kernels
from convnets.errors import InvalidValue
from convnets.layers.initializers import transposed_he_normal
from convnets.layers.window import positions


def convolution_matrix(
    kernel: Array, size: int | tuple[int, int], stride: int = 1, padding: int = 0, dilation: int = 1
) -> Array:
    """M_F of the lecture: the convolution of an input of `size` as a matrix product.

    Args:
      kernel: `[f, f]`, or of several channels `[f, f, C, F]`.
      size: w, the height and width of the convolution's input in pixels, or (height, width).

    Returns:
      `[w' w' F, w w C]`, in the type of the kernel. Rows are in the order of a response map `[w', w', F]` written out
      (row by row, in a row position by position, at a position filter by filter), columns in that of an input
      `[w, w, C]`.

    Raises:
      InvalidValue: an input smaller than the filter.
    """
    if kernel.ndim == 2:
        kernel = kernel[:, :, None, None]
    height, width = (size, size) if isinstance(size, int) else size
    rows, columns = (
        _taps(length, taps, stride, padding, dilation)
        for length, taps in zip((height, width), kernel.shape[:2], strict=True)
    )
    matrix = jnp.einsum("lax,mby,abcf->lmfxyc", rows, columns, kernel, precision="highest")
    return matrix.reshape(len(rows) * len(columns) * kernel.shape[3], height * width * kernel.shape[2])


def _taps(length: int, taps: int, stride: int, padding: int, dilation: int) -> Array:
    """`[w', f, w]`: whether, at a position of the filter, a tap of it lies on a pixel of the input."""
    count = positions(length, (taps - 1) * dilation + 1, stride, padding)
    if count < 1:
        raise InvalidValue(
            f"a filter of {taps} taps with dilation {dilation} and padding {padding} does not fit into {length} "
            "pixels: use a larger input or a smaller filter"
        )
    position, tap, pixel = jnp.ogrid[:count, :taps, :length]
    return position * stride + tap * dilation - padding == pixel


def by_matrix(
    x: Array, kernel: Array, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Array:
    """Transposed convolution as the lecture defines it: `M_F^T vec(x)`.

    Args:
      x: `[N, w', w', C]`.
      kernel: `[f, f, F, C]`, that of the convolution from F to C channels.

    Returns:
      `[N, w, w, F]`.
    """
    count, *sides, _ = x.shape
    height, width = (output_size(n, kernel.shape[0], stride, padding, output_padding, dilation) for n in sides)
    matrix = convolution_matrix(kernel, (height, width), stride, padding, dilation)
    result = jnp.matmul(x.reshape(count, -1), matrix, precision="highest")
    return result.reshape(count, height, width, kernel.shape[2])


def by_inserted_zeros(
    x: Array, kernel: Array, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Array:
    """The same by an ordinary convolution, of stride 1, with the filter rotated by 180 degrees (lecture).

    Between the entries of `x` stand s - 1 zeros, around them (f - 1) d - p, and below and at the right the output
    padding besides. Arguments and result are those of `by_matrix`.
    """
    around = (kernel.shape[0] - 1) * dilation - padding
    spread = (around, around + output_padding, stride - 1)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), spread, spread, (0, 0, 0)])
    rotated = kernel[::-1, ::-1]
    return kernels.convolution(x, rotated.swapaxes(2, 3), dilation=dilation)


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
        y = kernels.transposed_convolution(
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
