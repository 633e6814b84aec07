"""Local response normalization by the compiled kernels."""

from functools import partial

import jax
from jax import Array

from convnets.kernels import plain
from convnets.kernels.onednn.derivative import differentiated_as
from convnets.kernels.onednn.library import call

BETA = 0.75
"""The only exponent they know, which is the paper's."""


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def local_response_norm(x: Array, size: int, bias: float, alpha: float) -> Array:
    """`[..., C] -> [..., C]`, float32 or bfloat16, computed in float32."""
    result = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return call("local_response_norm", result, x, reach=size // 2, bias=float(bias), alpha=float(alpha))


def _reference(dy: Array, x: Array, *, size: int, bias: float, alpha: float) -> Array:
    return jax.vjp(lambda x: plain.local_response_norm(x, size, bias, alpha, BETA), x)[1](dy)[0]


@differentiated_as(_reference)
def _gradient(dy: Array, x: Array, *, size: int, bias: float, alpha: float) -> Array:
    result = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return call("local_response_norm_gradient", result, dy, x, reach=size // 2, bias=float(bias), alpha=float(alpha))


def _forward(x: Array, size: int, bias: float, alpha: float) -> tuple[Array, Array]:
    return local_response_norm(x, size, bias, alpha), x


def _backward(size: int, bias: float, alpha: float, x: Array, dy: Array) -> tuple[Array]:
    return (_gradient(dy, x, size=size, bias=bias, alpha=alpha),)


local_response_norm.defvjp(_forward, _backward)
