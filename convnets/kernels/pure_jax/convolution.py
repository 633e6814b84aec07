"""Convolution, each of its three products in the formulation that XLA's CPU compiler runs fastest."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.kernels.pure_jax.apart import apart
from convnets.kernels.pure_jax.matrix_product import matrix_product

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]

LAYOUT = ("NHWC", "HWIO", "NHWC")


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _convolution(x: Array, kernel: Array, strides: Pair, padding: Sides, dilation: Pair, groups: int) -> Array:
    return _plain(x, kernel.astype(x.dtype), strides, padding, dilation, groups).astype(x.dtype)


def convolution(
    x: Array, kernel: Array, *, strides: Pair, padding: Sides, dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Cross-correlation of a map with filters.

    - A 1x1 convolution is a product of two matrices, positions by channels and channels by filters: XLA's dots are
      faster than its convolutions. (At a stride, the positions between are left out first.)
    - Any other is XLA's convolution, computed in float32: it has no faster one for smaller types.
    - So is the gradient by the kernel, of transposed maps that are written to memory before (but in groups).

    No sum of products over the taps or over patches of the map won for filters larger than 1x1, forward or backward.

    Args:
      x: `[N, H, W, C]`, float32 or bfloat16.
      kernel: `[h, w, C / groups, F]`; takes part in the type of `x`, and has a gradient of its own type.
      padding: zeros above and below, left and right.
      dilation: distance of the filters' taps, in pixels.

    Returns:
      `[N, (H + padding - dilation (h - 1) - 1) // stride + 1, ..., F]`, of the type of `x`.
    """
    if kernel.shape[:2] == (1, 1) and groups == 1 and padding == ((0, 0), (0, 0)):
        return _one_by_one(x, kernel, strides)
    return _convolution(x, kernel, strides, padding, dilation, groups)


def _one_by_one(x: Array, kernel: Array, strides: Pair) -> Array:
    x = lax.slice(x, (0, 0, 0, 0), x.shape, (1, *strides, 1))
    y = matrix_product(x.reshape(-1, x.shape[-1]), kernel[0, 0])
    return y.reshape(*x.shape[:3], kernel.shape[-1])


def _plain(x: Array, kernel: Array, strides: Pair, padding: Sides, dilation: Pair, groups: int) -> Array:
    """In float32 at least."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return lax.conv_general_dilated(
        x.astype(wide),
        kernel.astype(wide),
        window_strides=strides,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=LAYOUT,
        feature_group_count=groups,
    )


def _forward(
    x: Array, kernel: Array, strides: Pair, padding: Sides, dilation: Pair, groups: int
) -> tuple[Array, tuple[Array, Array]]:
    return _convolution(x, kernel, strides, padding, dilation, groups), (x, kernel)


def _backward(
    strides: Pair, padding: Sides, dilation: Pair, groups: int, kept: tuple[Array, Array], dy: Array
) -> tuple[Array, Array]:
    x, kernel = kept
    plain = partial(_plain, strides=strides, padding=padding, dilation=dilation, groups=groups)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    _, by_x = jax.vjp(lambda x: plain(x, kernel.astype(dy.dtype)), x.astype(wide))
    [dx] = by_x(dy.astype(wide))
    if groups == 1 and 0 not in (*x.shape, *dy.shape):
        dkernel = _kernel_gradient(x, dy, kernel.shape[:2], strides, padding, dilation)
    else:
        _, by_kernel = jax.vjp(lambda kernel: plain(x.astype(wide), kernel), kernel.astype(wide))
        [dkernel] = by_kernel(dy.astype(wide))
    return dx.astype(x.dtype), dkernel.astype(kernel.dtype)


def _kernel_gradient(
    x: Array, dy: Array, size: tuple[int, ...], strides: Pair, padding: Sides, dilation: Pair
) -> Array:
    """The convolution of `x` by `dy`, with channels as the batch and the batch as channels, in float32 at least.

    XLA begins with the same transpositions. Apart, they read what was computed before; else they would compute it
    again, number by number.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    images = apart(lambda x: x.astype(wide).transpose(3, 1, 2, 0), x)
    windows = apart(lambda dy: dy.astype(wide).transpose(1, 2, 0, 3), dy)
    sides = []
    for axis in (0, 1):
        before, after = padding[axis]
        reach = (windows.shape[axis] - 1) * strides[axis] + (size[axis] - 1) * dilation[axis] + 1
        # What lies behind the last window has no part in it.
        sides.append((before, after - (x.shape[1 + axis] + before + after - reach)))
    result = lax.conv_general_dilated(images, windows, dilation, sides, rhs_dilation=strides, dimension_numbers=LAYOUT)
    return result.transpose(1, 2, 0, 3)


_convolution.defvjp(_forward, _backward)
