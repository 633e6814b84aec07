"""Each operation by JAX's own of that name: what GPUs and TPUs run, and what the others are held against."""

import jax.numpy as jnp
from jax import Array, lax

from convnets.kernels.geometry import Geometry, Sides

NHWC = ("NHWC", "HWIO", "NHWC")


def convolution(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """`[N, H, W, C]`, `[h, w, C / groups, F] -> [N, ..., F]`, in the type of `x`."""
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        geometry.strides,
        geometry.padding,
        rhs_dilation=geometry.dilation,
        dimension_numbers=NHWC,
        feature_group_count=geometry.groups,
    )


def transposed_convolution(x: Array, kernel: Array, geometry: Geometry, output_padding: tuple[int, int]) -> Array:
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


def max_pool(x: Array, size: int, stride: int, padding: Sides) -> Array:
    """`[N, H, W, C] -> [N, (H + padding - size) // stride + 1, ..., C]`."""
    everywhere = (0, 0), *padding, (0, 0)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), everywhere)


def local_response_norm(x: Array, size: int, bias: float, alpha: float, beta: float) -> Array:
    """`[..., C] -> [..., C]`, computed in float32."""
    responses = x.astype(jnp.float32)
    reach, channels = size // 2, x.shape[-1]
    squares = jnp.pad(jnp.square(responses), [(0, 0)] * (x.ndim - 1) + [(reach, reach)])
    neighbours = sum(lax.slice_in_dim(squares, i, i + channels, axis=-1) for i in range(size))
    return (responses * (bias + alpha * neighbours) ** -beta).astype(x.dtype)
