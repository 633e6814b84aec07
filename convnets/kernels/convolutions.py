"""Convolution: by oneDNN, or by Winograd's minimal filtering where that is faster.

A tile of m x m responses of an r x r filter takes (m + r - 1)^2 multiplications for each pair of a channel and a filter
instead of (m r)^2 (Lavin and Gray, CVPR 2016): at stride 1, 36 instead of 144 for 3x3 filters and 36 instead of 100
for 5x5. All is computed in float32, with about twice the rounding error of a sum. Maps of bfloat16, which are rounded
a thousand times as much, may have 81 instead of 441 or 625: as float32 is half as fast there, they need it.

The convolution, the gradient to its input and the gradient to its kernel are each linear in either argument, and each
is the others' gradient. So they are differentiated as often as one likes.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.kernels.derivatives import relu_gradient
from convnets.kernels.library import call, multiplies_bfloat16, multiplies_tiles

Shape = tuple[int, ...]
_Array = Array | jax.ShapeDtypeStruct


class Window(NamedTuple):
    """How filters go over the maps, each for height and for width, and by what they may be computed."""

    strides: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int
    minimal: bool = True
    """Whether minimal filtering may be used."""


NONE = ((0, 0), (0, 0))
NARROW = 16
"""Channels below which oneDNN 3.2 writes behind its memory in the kernel's gradient of 1 x 1 strided convolutions."""

DIRECT = 0
SIDES = (3, 5)
POINTS = (6, 9)
PRODUCT = 1.2
"""Cost of a multiplication among transformed numbers; among untransformed ones in float32 it is 1."""
TRANSFORMS = {6: 25, 9: 30}
"""Cost of transforming a number there and back, in multiplications."""


@partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def convolution(
    x: Array,
    kernel: Array,
    factor: Array | None,
    bias: Array | None,
    residual: Array | None,
    window: Window,
    relu: bool,
) -> Array:
    """`factor convolution(x, kernel) + bias + residual`, then ReLU if asked, all in one pass over the result.

    Args:
      x: `[N, H, W, C]`, float32 or bfloat16.
      kernel: `[h, w, C / groups, F]`, float32 or the type of `x`.
      factor, bias: `[F]`, float32.
      residual: `[N, ..., F]`, of the type of `x`.
    """
    sides = (
        (x.shape[1 + i] + sum(window.padding[i]) - (kernel.shape[i] - 1) * window.dilation[i] - 1) // window.strides[i]
        for i in (0, 1)
    )
    result = jax.ShapeDtypeStruct((x.shape[0], *(side + 1 for side in sides), kernel.shape[-1]), x.dtype)
    name, attributes = _kernel("forward", x, kernel, result, window)
    return call(name, result, x, kernel, factor, bias, residual, **attributes, relu=relu)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def input_gradient(dy: Array, kernel: Array, window: Window, shape: Shape) -> Array:
    """The gradient that reaches maps of that shape, `[N, H, W, C]`, in the type of `dy`."""
    result = jax.ShapeDtypeStruct(shape, dy.dtype)
    name, attributes = _kernel("input_gradient", result, kernel, dy, window)
    return call(name, result, dy, kernel, **attributes)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def kernel_gradient(x: Array, dy: Array, window: Window, result: jax.ShapeDtypeStruct) -> Array:
    """The gradient that reaches a kernel of that shape and type."""
    if result.shape[:2] == (1, 1) and x.shape[-1] < NARROW and window == window._replace(padding=NONE):
        # oneDNN gathers the positions that a stride leaves in memory that is too small for few channels.
        x = lax.slice(x, (0, 0, 0, 0), x.shape, (1, *window.strides, 1))
        window = window._replace(strides=(1, 1))
    name, attributes = _kernel("kernel_gradient", x, result, dy, window)
    return call(name, result, x, dy, **attributes)


def _forward(
    x: Array,
    kernel: Array,
    factor: Array | None,
    bias: Array | None,
    residual: Array | None,
    window: Window,
    relu: bool,
) -> tuple[Array, Any]:
    # Where gradients are wanted the factor is one of the kernel's.
    scaled = kernel if factor is None else kernel * factor
    y = convolution(x, scaled, None, bias, residual, window, relu)
    return y, (x, kernel, factor, bias, residual is not None, y if relu else None)


def _backward(window: Window, relu: bool, kept: Any, dy: Array) -> tuple[Array | None, ...]:
    x, kernel, factor, bias, has_residual, y = kept
    if relu:
        dy, sums = relu_gradient(dy, y)
    elif bias is not None:
        sums = jnp.sum(dy, axis=(0, 1, 2), dtype=jnp.float32)
    dx = input_gradient(dy, kernel if factor is None else kernel * factor, window, x.shape)
    dkernel = kernel_gradient(x, dy, window, jax.ShapeDtypeStruct(kernel.shape, kernel.dtype))
    dfactor = None
    if factor is not None:
        dfactor = jnp.sum(dkernel * kernel, axis=(0, 1, 2), dtype=jnp.float32)
        dkernel = (dkernel * factor).astype(kernel.dtype)
    return dx, dkernel, dfactor, None if bias is None else sums, dy if has_residual else None


def _input_forward(dy: Array, kernel: Array, window: Window, shape: Shape) -> tuple[Array, Any]:
    return input_gradient(dy, kernel, window, shape), (dy, kernel)


def _input_backward(window: Window, shape: Shape, kept: Any, ddx: Array) -> tuple[Array, Array]:
    dy, kernel = kept
    ddy = convolution(ddx, kernel, None, None, None, window, False)
    return ddy, kernel_gradient(ddx, dy, window, jax.ShapeDtypeStruct(kernel.shape, kernel.dtype))


def _kernel_forward(x: Array, dy: Array, window: Window, result: jax.ShapeDtypeStruct) -> tuple[Array, Any]:
    return kernel_gradient(x, dy, window, result), (x, dy)


def _kernel_backward(window: Window, result: jax.ShapeDtypeStruct, kept: Any, ddkernel: Array) -> tuple[Array, Array]:
    x, dy = kept
    return input_gradient(dy, ddkernel, window, x.shape), convolution(x, ddkernel, None, None, None, window, False)


convolution.defvjp(_forward, _backward)
input_gradient.defvjp(_input_forward, _input_backward)
kernel_gradient.defvjp(_kernel_forward, _kernel_backward)


def _kernel(which: str, x: _Array, kernel: _Array, y: _Array, window: Window) -> tuple[str, dict[str, Any]]:
    """The name of the fastest kernel for one of the three, and its attributes."""
    padding = tuple(pixels for side in window.padding for pixels in side)
    attributes: dict[str, Any] = {"padding": padding, "groups": window.groups}
    count = points(x.shape, kernel.shape, y.shape, x.dtype, kernel.dtype, window)
    if count:
        return f"winograd_{which}", attributes | {"points": count}
    return f"convolution_{which}", attributes | {"strides": window.strides, "dilation": window.dilation}


def points(x: Shape, kernel: Shape, y: Shape, dtype: jnp.dtype, kernel_dtype: jnp.dtype, window: Window) -> int:
    """The number of points on each axis by which a convolution and its gradients are fastest; 0 for none.

    Args:
      x, kernel, y: shapes of the input, the kernel and the result.
      dtype: of the maps.
    """
    narrow = dtype == jnp.bfloat16
    if (
        kernel[0] != kernel[1]
        or kernel[0] not in SIDES
        or window.strides != (1, 1)
        or window.dilation != (1, 1)
        or kernel_dtype != jnp.float32
        or (narrow and multiplies_tiles())
        or not window.minimal
    ):
        return DIRECT
    side, channels, features = kernel[0], kernel[2], kernel[3] // window.groups
    costs = {DIRECT: side * side * y[1] * y[2] * channels * features / (2 if narrow and multiplies_bfloat16() else 1)}
    for count in POINTS if narrow else POINTS[:1]:
        responses = count + 1 - side
        tiles = -(-y[1] // responses) * -(-y[2] // responses)
        products = PRODUCT * channels * features
        costs[count] = tiles * count * count * (products + TRANSFORMS[count] * (channels + features) / 2)
    return min(costs, key=costs.__getitem__)
