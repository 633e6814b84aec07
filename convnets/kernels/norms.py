"""Batch norm and local response normalization.

Batch norm takes two passes over the responses forward and two backward (Ioffe and Szegedy, ICML 2015). With n numbers x
of a filter, mean m, variance v, s = 1 / sqrt(v + epsilon), scale g and bias b:

    y  = (x - m) s g + b                                         (+ residual, then ReLU)
    dx = g s (dy - sum(dy) / n - (x - m) s^2 sum(dy (x - m)) / n)

What is between two passes is summed over the devices.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.kernels.derivatives import differentiated_as
from convnets.kernels.library import call

BETA = 0.75
"""The only exponent that the compiled local response norm knows, which is the paper's."""


def moments(x: Array) -> tuple[Array, Array]:
    """`[..., C]` -> mean and variance, `[C]` in float32."""
    result = _vector(x)
    return call("batch_norm_moments", (result, result), x)


def normalize(
    x: Array,
    mean: Array,
    variance: Array,
    scale: Array,
    bias: Array,
    residual: Array | None,
    *,
    epsilon: float,
    relu: bool,
) -> Array:
    """`(x - mean) / sqrt(variance + epsilon) * scale + bias + residual`, then ReLU if asked, in the type of `x`."""
    options = {"epsilon": float(epsilon), "relu": relu}
    return call("batch_norm_normalize", _like(x), x, mean, variance, scale, bias, residual, **options)


def gradient_sums(dy: Array, x: Array, y: Array, mean: Array, *, relu: bool) -> tuple[Array, Array]:
    """Sums of `dy` and of `dy (x - mean)` over all but the filters, `[C]` in float32; `dy` where y > 0 if `relu`."""
    result = _vector(x)
    return call("batch_norm_gradient_sums", (result, result), dy, x, y, mean, relu=relu)


def gradient(
    dy: Array,
    x: Array,
    y: Array,
    mean: Array,
    factor: Array,
    slope: Array,
    offset: Array,
    *,
    relu: bool,
    residual: bool,
) -> tuple[Array, Array | None]:
    """`factor dy + slope (x - mean) + offset` and, if `residual`, `dy` itself; `dy` where y > 0 if `relu`."""
    beside = _like(x) if residual else jax.ShapeDtypeStruct((0,), x.dtype)
    vectors = mean, factor, slope, offset
    dx, passed = call("batch_norm_gradient", (_like(x), beside), dy, x, y, *vectors, relu=relu, residual=residual)
    return dx, passed if residual else None


@partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def batch_norm(
    x: Array,
    scale: Array,
    bias: Array,
    residual: Array | None,
    epsilon: float,
    relu: bool,
    axis_name: str | None,
) -> tuple[Array, Array, Array]:
    """`(x - mean) / sqrt(variance + epsilon) * scale + bias + residual`, then ReLU if asked; the mean and variance.

    Args:
      x: `[..., C]`, float32 or bfloat16.
      scale, bias: `[C]`, float32.
      residual: of the shape and type of `x`, or None.
      axis_name: of several devices whose equal parts make the mini-batch; None for this one's.
    """
    mean, variance = moments(x)
    if axis_name is not None:
        whole = lax.pmean(mean, axis_name)
        mean, variance = whole, lax.pmean(variance + jnp.square(mean - whole), axis_name)
    return normalize(x, mean, variance, scale, bias, residual, epsilon=epsilon, relu=relu), mean, variance


def _batch_norm_forward(x: Array, scale: Array, bias: Array, residual: Array | None, *options: Any) -> tuple[Any, Any]:
    y, mean, variance = batch_norm(x, scale, bias, residual, *options)
    return (y, mean, variance), (x, y, mean, variance, scale, residual is not None)


def _batch_norm_backward(
    epsilon: float, relu: bool, axis_name: str | None, kept: Any, gradients: Any
) -> tuple[Array, Array, Array, Array | None]:
    """The gradient by hand: x reaches the result directly, and all results through the mean and the variance."""
    x, y, mean, variance, scale, has_residual = kept
    dy, dmean, dvariance = gradients
    count = x.size // x.shape[-1]
    sums = differentiated_as(_sums_by_jax, gradient_sums)(dy, x, y, mean, relu=relu)
    dbias, dscale = sums[0], sums[1] * lax.rsqrt(variance + epsilon)
    if axis_name is not None:
        count = count * lax.axis_size(axis_name)
        *sums, dmean, dvariance = lax.psum((*sums, dmean, dvariance), axis_name)
    factor = scale * lax.rsqrt(variance + epsilon)
    slope = (2 * dvariance - factor / (variance + epsilon) * sums[1]) / count
    offset = (dmean - factor * sums[0]) / count
    last_pass = differentiated_as(_gradient_by_jax, gradient)
    dx, dresidual = last_pass(dy, x, y, mean, factor, slope, offset, relu=relu, residual=has_residual)
    return dx, dscale, dbias, dresidual


batch_norm.defvjp(_batch_norm_forward, _batch_norm_backward)


def _sums_by_jax(dy: Array, x: Array, y: Array, mean: Array, *, relu: bool) -> tuple[Array, Array]:
    """What `gradient_sums` computes."""
    axes = tuple(range(x.ndim - 1))
    dy = _through_relu(dy, y, relu)
    return jnp.sum(dy, axes), jnp.sum(dy * (x.astype(jnp.float32) - mean), axes)


def _gradient_by_jax(
    dy: Array,
    x: Array,
    y: Array,
    mean: Array,
    factor: Array,
    slope: Array,
    offset: Array,
    *,
    relu: bool,
    residual: bool,
) -> tuple[Array, Array | None]:
    """What `gradient` computes."""
    dy = _through_relu(dy, y, relu)
    dx = factor * dy + slope * (x.astype(jnp.float32) - mean) + offset
    return dx.astype(x.dtype), dy.astype(x.dtype) if residual else None


def _through_relu(dy: Array, y: Array, relu: bool) -> Array:
    """In float32."""
    dy = dy.astype(jnp.float32)
    return jnp.where(y > 0, dy, 0.0) if relu else dy


Reference = Callable[[Array, int, float, float, float], Array]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def local_response_norm(x: Array, size: int, bias: float, alpha: float, reference: Reference) -> Array:
    """`[..., C] -> [..., C]`, computed in float32, with the exponent `BETA`.

    Args:
      reference: the same in JAX, of (x, size, bias, alpha, beta); for second derivatives.
    """
    return call("local_response_norm", _like(x), x, reach=size // 2, bias=float(bias), alpha=float(alpha))


def local_response_norm_gradient(dy: Array, x: Array, *, size: int, bias: float, alpha: float) -> Array:
    """What reaches `x`."""
    options = {"reach": size // 2, "bias": float(bias), "alpha": float(alpha)}
    return call("local_response_norm_gradient", _like(x), dy, x, **options)


def _forward(x: Array, size: int, bias: float, alpha: float, reference: Reference) -> tuple[Array, Array]:
    return local_response_norm(x, size, bias, alpha, reference), x


def _backward(size: int, bias: float, alpha: float, reference: Reference, x: Array, dy: Array) -> tuple[Array]:
    def by_jax(dy: Array, x: Array, *, size: int, bias: float, alpha: float) -> Array:
        return jax.vjp(lambda x: reference(x, size, bias, alpha, BETA), x)[1](dy)[0]

    return (differentiated_as(by_jax, local_response_norm_gradient)(dy, x, size=size, bias=bias, alpha=alpha),)


local_response_norm.defvjp(_forward, _backward)


def _vector(x: Array) -> Any:
    return jax.ShapeDtypeStruct(x.shape[-1:], jnp.float32)


def _like(x: Array) -> Any:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)
