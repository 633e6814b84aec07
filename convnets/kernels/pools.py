"""Max pooling: the place of each maximum is kept for the gradient, a byte each."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from convnets.kernels.library import call

Sides = tuple[tuple[int, int], tuple[int, int]]

LARGEST_WINDOW = 16
"""Side, in pixels: a place in it fits into a byte."""


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(x: Array, size: int, stride: int, padding: Sides) -> Array:
    """`[N, H, W, C] -> [N, (H + padding - size) // stride + 1, ..., C]`; windows of at most 16 x 16 pixels."""
    return _pool(x, size, stride, padding, places=False)[0]


def _pool(x: Array, size: int, stride: int, padding: Sides, *, places: bool) -> tuple[Array, Array]:
    rows, columns = ((x.shape[1 + i] + sum(padding[i]) - size) // stride + 1 for i in (0, 1))
    result = jax.ShapeDtypeStruct((x.shape[0], rows, columns, x.shape[3]), x.dtype)
    index = jax.ShapeDtypeStruct(result.shape if places else (0,), jnp.uint8)
    return call("max_pool", (result, index), x, **_window(size, stride, padding))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _gradient(dy: Array, index: Array, shape: tuple[int, ...], size: int, stride: int, padding: Sides) -> Array:
    result = jax.ShapeDtypeStruct(shape, dy.dtype)
    return call("max_pool_gradient", result, dy, index, **_window(size, stride, padding))


def _gather(dx: Array, index: Array, size: int, stride: int, padding: Sides) -> Array:
    """What stands at the place of each maximum: the gradient of the gradient."""
    padded = jnp.pad(dx, [(0, 0), *padding, (0, 0)])
    _, rows, columns, _ = index.shape
    result = jnp.zeros(index.shape, dx.dtype)
    for place in range(size * size):
        top, left = divmod(place, size)
        down, right = top + (rows - 1) * stride + 1, left + (columns - 1) * stride + 1
        here = padded[:, top:down:stride, left:right:stride]
        result = jnp.where(index == place, here, result)
    return result


def _forward(x: Array, size: int, stride: int, padding: Sides) -> tuple[Array, Any]:
    y, index = _pool_with_places(x, size, stride, padding)
    return y, (index, x.shape)


def _backward(size: int, stride: int, padding: Sides, kept: Any, dy: Array) -> tuple[Array]:
    index, shape = kept
    return (_gradient(dy, index, shape, size, stride, padding),)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _pool_with_places(x: Array, size: int, stride: int, padding: Sides) -> tuple[Array, Array]:
    return _pool(x, size, stride, padding, places=True)


def _places_forward(x: Array, size: int, stride: int, padding: Sides) -> tuple[Any, Any]:
    y, index = _pool_with_places(x, size, stride, padding)
    return (y, index), (index, x.shape)


def _places_backward(size: int, stride: int, padding: Sides, kept: Any, gradients: Any) -> tuple[Array]:
    return _backward(size, stride, padding, kept, gradients[0])


def _gradient_forward(dy: Array, index: Array, shape: tuple[int, ...], *window: Any) -> tuple[Array, Any]:
    return _gradient(dy, index, shape, *window), index


def _gradient_backward(
    shape: tuple[int, ...], size: int, stride: int, padding: Sides, index: Any, ddx: Array
) -> tuple[Array, None]:
    return _gather(ddx, index, size, stride, padding), None


max_pool.defvjp(_forward, _backward)
_pool_with_places.defvjp(_places_forward, _places_backward)
_gradient.defvjp(_gradient_forward, _gradient_backward)


def _window(size: int, stride: int, padding: Sides) -> dict[str, int]:
    return {"size": size, "stride": stride, "above": padding[0][0], "left": padding[1][0]}
