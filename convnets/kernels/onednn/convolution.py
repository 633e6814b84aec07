"""Convolution by the compiled kernels.

The convolution, the gradient to its input and the gradient to its kernel are each linear in either argument, and each
is the others' gradient. So they are differentiated as often as one likes.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.kernels import plain
from convnets.kernels.geometry import Geometry
from convnets.kernels.onednn import winograd
from convnets.kernels.onednn.library import call
from convnets.kernels.onednn.relu_gradient import relu_gradient

Shape = tuple[int, ...]
_Array = Array | jax.ShapeDtypeStruct

NONE = ((0, 0), (0, 0))
NARROW = 16
"""Channels below which oneDNN 3.2 writes behind its memory in the kernel's gradient of 1 x 1 strided convolutions."""


@partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def convolution(
    x: Array,
    kernel: Array,
    factor: Array | None,
    bias: Array | None,
    residual: Array | None,
    geometry: Geometry,
    relu: bool,
) -> Array:
    """`factor convolution(x, kernel) + bias + residual`, then ReLU if asked, all in one pass over the result.

    Args:
      x: `[N, H, W, C]`, float32 or bfloat16.
      kernel: `[h, w, C / groups, F]`, float32 or the type of `x`.
      factor, bias: `[F]`, float32.
      residual: `[N, ..., F]`, of the type of `x`.
    """
    result = jax.eval_shape(lambda: plain.convolution(x, kernel, geometry))
    name, attributes = _kernel("forward", x, kernel, result, geometry)
    return call(name, result, x, kernel, factor, bias, residual, **attributes, relu=relu)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def input_gradient(dy: Array, kernel: Array, geometry: Geometry, shape: Shape) -> Array:
    """The gradient that reaches maps of that shape, `[N, H, W, C]`, in the type of `dy`."""
    result = jax.ShapeDtypeStruct(shape, dy.dtype)
    name, attributes = _kernel("input_gradient", result, kernel, dy, geometry)
    return call(name, result, dy, kernel, **attributes)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def kernel_gradient(x: Array, dy: Array, geometry: Geometry, result: jax.ShapeDtypeStruct) -> Array:
    """The gradient that reaches a kernel of that shape and type."""
    if result.shape[:2] == (1, 1) and x.shape[-1] < NARROW and geometry == geometry._replace(padding=NONE):
        # oneDNN gathers the positions that a stride leaves in memory that is too small for few channels.
        x = lax.slice(x, (0, 0, 0, 0), x.shape, (1, *geometry.strides, 1))
        geometry = geometry._replace(strides=(1, 1))
    name, attributes = _kernel("kernel_gradient", x, result, dy, geometry)
    return call(name, result, x, dy, **attributes)


def _forward(
    x: Array,
    kernel: Array,
    factor: Array | None,
    bias: Array | None,
    residual: Array | None,
    geometry: Geometry,
    relu: bool,
) -> tuple[Array, Any]:
    # Where gradients are wanted the factor is one of the kernel's.
    scaled = kernel if factor is None else kernel * factor
    y = convolution(x, scaled, None, bias, residual, geometry, relu)
    return y, (x, kernel, factor, bias, residual is not None, y if relu else None)


def _backward(geometry: Geometry, relu: bool, kept: Any, dy: Array) -> tuple[Array | None, ...]:
    x, kernel, factor, bias, has_residual, y = kept
    if relu:
        dy, sums = relu_gradient(dy, y)
    elif bias is not None:
        sums = jnp.sum(dy, axis=(0, 1, 2), dtype=jnp.float32)
    dx = input_gradient(dy, kernel if factor is None else kernel * factor, geometry, x.shape)
    dkernel = kernel_gradient(x, dy, geometry, jax.ShapeDtypeStruct(kernel.shape, kernel.dtype))
    dfactor = None
    if factor is not None:
        dfactor = jnp.sum(dkernel * kernel, axis=(0, 1, 2), dtype=jnp.float32)
        dkernel = (dkernel * factor).astype(kernel.dtype)
    return dx, dkernel, dfactor, None if bias is None else sums, dy if has_residual else None


def _input_forward(dy: Array, kernel: Array, geometry: Geometry, shape: Shape) -> tuple[Array, Any]:
    return input_gradient(dy, kernel, geometry, shape), (dy, kernel)


def _input_backward(geometry: Geometry, shape: Shape, kept: Any, ddx: Array) -> tuple[Array, Array]:
    dy, kernel = kept
    ddy = convolution(ddx, kernel, None, None, None, geometry, False)
    return ddy, kernel_gradient(ddx, dy, geometry, jax.ShapeDtypeStruct(kernel.shape, kernel.dtype))


def _kernel_forward(x: Array, dy: Array, geometry: Geometry, result: jax.ShapeDtypeStruct) -> tuple[Array, Any]:
    return kernel_gradient(x, dy, geometry, result), (x, dy)


def _kernel_backward(
    geometry: Geometry, result: jax.ShapeDtypeStruct, kept: Any, ddkernel: Array
) -> tuple[Array, Array]:
    x, dy = kept
    return input_gradient(dy, ddkernel, geometry, x.shape), convolution(x, ddkernel, None, None, None, geometry, False)


convolution.defvjp(_forward, _backward)
input_gradient.defvjp(_input_forward, _input_backward)
kernel_gradient.defvjp(_kernel_forward, _kernel_backward)


def _kernel(which: str, x: _Array, kernel: _Array, y: _Array, geometry: Geometry) -> tuple[str, dict[str, Any]]:
    """The name of the fastest kernel for one of the three, and its attributes."""
    padding = tuple(pixels for side in geometry.padding for pixels in side)
    attributes: dict[str, Any] = {"padding": padding, "groups": geometry.groups}
    count = winograd.points(x.shape, kernel.shape, y.shape, x.dtype, kernel.dtype, geometry)
    if count:
        return f"winograd_{which}", attributes | {"points": count}
    return f"convolution_{which}", attributes | {"strides": geometry.strides, "dilation": geometry.dilation}
