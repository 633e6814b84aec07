"""Convolution with padding written as numbers, and what may follow it in one pass: factor, bias, residual and ReLU."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.layers.geometry import Geometry, Padding, Pair, check_floating, geometry, positions
from convnets.layers.implementation import filters_minimally, implementation, kernels
from convnets.layers.initializers import he_normal


class Convolution(nn.Module):
    """Square filters, the same padding on all sides; parameters `kernel [size, size, C / groups, features]`, `bias`.

    'SAME' is not offered: at stride 2 it pads one side more than the other, which no paper of the lecture does.

    Attributes:
      features: number of filters.
      size: height and width of each filter, in pixels.
      stride: step between responses, in pixels.
      padding: zeros added on each side, in pixels.
      groups: equal parts of the channels; the filters of a part see that part of the input alone.
      use_bias: whether each filter has a bias; False where a batch norm follows.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    use_bias: bool = True
    kernel_init: Callable[..., Array] = he_normal
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        norm: tuple[Array, Array] | None = None,
        residual: Array | None = None,
        relu: bool = False,
    ) -> Array:
        """`[N, H, W, C] -> [N, (H + 2 padding - size) // stride + 1, ..., features]`.

        Args:
          norm: factor and shift of each filter, `[features]`: what a batch norm of known statistics does.
          residual: what is then added, of the result's shape.
          relu: whether a ReLU follows.

        Raises:
          InvalidValue: a map smaller than the filters, or channels or filters that the groups don't divide.
        """
        channels = x.shape[-1]
        if min(positions(length, self.size, self.stride, self.padding) for length in x.shape[1:3]) < 1:
            raise InvalidValue(
                f"the convolution '{'/'.join(self.path)}' has {self.size} x {self.size} filters and was given a map "
                f"of {x.shape[1]} x {x.shape[2]}: use a larger image"
            )
        if channels % self.groups or self.features % self.groups:
            raise InvalidValue(
                f"the convolution '{'/'.join(self.path)}' can't part {channels} channels and {self.features} filters "
                f"into {self.groups} groups: both must be multiples of it"
            )
        shape = (self.size, self.size, channels // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        factor = None
        if norm is not None:
            factor, shift = norm
            bias = shift if bias is None else bias * factor + shift
        return convolution(
            jnp.asarray(x, self.dtype),
            kernel,
            bias,
            None if residual is None else jnp.asarray(residual, self.dtype),
            factor=factor,
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
            relu=relu,
        )


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
    result = checked_result(x, kernel, where, factor=factor, bias=bias, residual=residual)
    if residual is not None:
        residual = residual.astype(x.dtype)
    if is_compiled(x, result.shape, kernel, where):
        factor, bias = (None if array is None else array.astype(jnp.float32) for array in (factor, bias))
        return kernels.convolution(x, kernel, factor, bias, residual, window(where), relu)
    y = convolve(x, kernel if factor is None else kernel * factor, where)
    if bias is not None:
        y = y + bias.astype(x.dtype)
    if residual is not None:
        y = y + residual
    return jax.nn.relu(y) if relu else y


def convolve(x: Array, kernel: Array, where: Geometry) -> Array:
    """The convolution alone, by JAX, in the type of `x`."""
    kernel = kernel.astype(x.dtype)
    pointwise = kernel.shape[:2] == (1, 1) and where.groups == 1 and where.padding == ((0, 0), (0, 0))
    if pointwise and implementation() == "xla":
        # XLA's products are faster on a CPU than its convolutions.
        x = lax.slice(x, (0, 0, 0, 0), x.shape, (1, *where.strides, 1))
        return x @ kernel[0, 0]
    return _convolve(x, kernel, where)


def _convolve(x: Array, kernel: Array, where: Geometry) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        where.strides,
        where.padding,
        rhs_dilation=where.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=where.groups,
    )


def checked_result(
    x: Array | jax.ShapeDtypeStruct, kernel: Array, where: Geometry, **added: Array | None
) -> jax.ShapeDtypeStruct:
    """The shape of the result.

    Raises:
      InvalidValue: shapes that don't fit one another.
    """
    try:
        result = jax.eval_shape(lambda x, kernel: _convolve(x, kernel.astype(x.dtype), where), x, kernel)
    except (TypeError, ValueError) as error:
        raise InvalidValue(
            f"a convolution of {x.shape} by kernel {kernel.shape} in {where.groups} groups does not fit: {error}"
        ) from None
    for name, array in added.items():
        wanted = result.shape if name == "residual" else kernel.shape[-1:]
        if array is not None and array.shape != wanted:
            raise InvalidValue(f"the {name} of a convolution has shape {array.shape}, and must have {wanted}")
    return result


def is_compiled(x: Array, shape: tuple[int, ...], kernel: Array, where: Geometry) -> bool:
    """Whether compiled kernels compute it: not without any pixels, in other types, or where padding is a crop."""
    return (
        implementation() == "onednn"
        and x.dtype in (jnp.float32, jnp.bfloat16)
        and kernel.dtype in (jnp.float32, x.dtype)
        and 0 not in (*x.shape, *shape, *kernel.shape)
        and min(pixels for side in where.padding for pixels in side) >= 0
    )


def window(where: Geometry) -> Any:
    """The geometry as compiled kernels take it."""
    return kernels.Window(*where, minimal=filters_minimally())
