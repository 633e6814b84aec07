"""Transposed convolution in the lecture's two forms: by the matrix of a convolution, and by inserted zeros.

They compute what `transposed_convolution` does, to rounding, and are here to be compared with it.
"""

import jax.numpy as jnp
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.layers.convolution import convolution
from convnets.layers.geometry import positions
from convnets.layers.transposed_convolution import output_size


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
    return convolution(x, rotated.swapaxes(2, 3), dilation=dilation)
