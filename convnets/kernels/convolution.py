"""Convolution, with what may follow it in one pass: factor, bias, residual and ReLU."""

import jax
import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue
from convnets.kernels import plain, pure_jax
from convnets.kernels.choice import implementation
from convnets.kernels.geometry import Geometry, Padding, Pair, geometry
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
    result = checked(x, kernel, factor, bias, residual, where)
    if residual is not None:
        residual = residual.astype(x.dtype)
    chosen = implementation()
    if chosen == "onednn" and compiled(x, result.shape, kernel, where):
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


def checked(
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


def compiled(x: Array, shape: tuple[int, ...], kernel: Array, where: Geometry) -> bool:
    """Whether the compiled kernels take it: not without any pixels, in other precisions, or where padding is a crop."""
    return (
        x.dtype in COMPILED_TYPES
        and kernel.dtype in (jnp.float32, x.dtype)
        and 0 not in (*x.shape, *shape, *kernel.shape)
        and min(pixels for side in where.padding for pixels in side) >= 0
    )


def _float32(array: Array | None) -> Array | None:
    return None if array is None else array.astype(jnp.float32)
