"""Convolution and transposed convolution, with what may follow them in one pass: factor, bias, residual and ReLU."""

import jax
import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue
from convnets.kernels import plain, pure_jax
from convnets.kernels.choice import implementation
from convnets.kernels.geometry import Geometry, Padding, Pair, geometry, pair
from convnets.kernels.onednn import convolution as onednn
from convnets.kernels.onednn.library import multiplies_bfloat16
from convnets.kernels.operands import check_floating

COMPILED_TYPES = (jnp.float32, jnp.bfloat16)


def convolution(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    residual: Array | None = None,
    *,
    factor: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    relu: bool = False,
) -> Array:
    """`factor convolution(x, kernel) + bias + residual`, then `max(0, .)` if `relu`, in the type of `x`.

    Args:
      x: `[N, H, W, C]`, of any floating type.
      kernel: `[h, w, C / groups, F]`; in a lower precision it may be rounded to the type of `x`, and its gradient is
        not.
      bias, factor: `[F]`.
      residual: of the result's shape.

    Returns:
      `[N, (H + padding - (h - 1) dilation - 1) // stride + 1, ..., F]`.

    Raises:
      InvalidValue: shapes that don't fit one another, or arrays that are not of floating point.
    """
    check_floating("a convolution", x=x, kernel=kernel, factor=factor, bias=bias, residual=residual)
    where = geometry(stride, padding, dilation, groups)
    result = _check(x, kernel, factor, bias, residual, where)
    if residual is not None:
        residual = residual.astype(x.dtype)
    chosen = implementation()
    if chosen == "onednn" and _compiled(x, result.shape, kernel, where):
        if x.dtype == jnp.bfloat16 and not multiplies_bfloat16():
            wide = (_float32(array) for array in (x, kernel, factor, bias, residual))
            return onednn.convolution(*wide, where, relu).astype(x.dtype)
        return onednn.convolution(x, kernel, _float32(factor), _float32(bias), residual, where, relu)
    if factor is not None:
        kernel = kernel * factor
    y = plain.convolution(x, kernel, where) if chosen == "plain" else pure_jax.convolution(x, kernel, **where._asdict())
    if bias is not None:
        y = y + bias.astype(x.dtype)
    if residual is not None:
        y = y + residual
    return jax.nn.relu(y) if relu else y


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
    if min(side) < 1 or _check(wide, kernel, None, None, None, where).shape != x.shape:
        raise InvalidValue(
            f"a transposed convolution of {x.shape} by kernel {kernel.shape} with stride {where.strides}, padding "
            f"{where.padding} and output padding {extra} has no result: output padding must be less than the stride, "
            "and padding must leave something"
        )
    if implementation() != "onednn" or not _compiled(x, shape, kernel, where):
        return plain.transposed_convolution(x, kernel, where, extra)
    if x.dtype == jnp.bfloat16 and not multiplies_bfloat16():
        result = onednn.input_gradient(x.astype(jnp.float32), kernel.astype(jnp.float32), where, shape)
        return result.astype(x.dtype)
    return onednn.input_gradient(x, kernel, where, shape)


def _check(
    x: Array | jax.ShapeDtypeStruct,
    kernel: Array,
    factor: Array | None,
    bias: Array | None,
    residual: Array | None,
    where: Geometry,
) -> jax.ShapeDtypeStruct:
    """The shape of the result."""
    try:
        result = jax.eval_shape(lambda x, kernel: plain.convolution(x, kernel, where), x, kernel)
    except (TypeError, ValueError) as error:
        raise InvalidValue(
            f"a convolution of {x.shape} by kernel {kernel.shape} in {where.groups} groups does not fit: {error}"
        ) from None
    each = kernel.shape[-1:]
    for name, array, wanted in (("factor", factor, each), ("bias", bias, each), ("residual", residual, result.shape)):
        if array is not None and array.shape != wanted:
            raise InvalidValue(f"the {name} of a convolution has shape {array.shape}, and must have {wanted}")
    return result


def _compiled(x: Array, shape: tuple[int, ...], kernel: Array, where: Geometry) -> bool:
    """Whether the compiled kernels take it: not without any pixels, in other precisions, or where padding is a crop."""
    return (
        x.dtype in COMPILED_TYPES
        and kernel.dtype in (jnp.float32, x.dtype)
        and 0 not in (*x.shape, *shape, *kernel.shape)
        and min(pixels for side in where.padding for pixels in side) >= 0
    )


def _float32(array: Array | None) -> Array | None:
    return None if array is None else array.astype(jnp.float32)
