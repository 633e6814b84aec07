"""Batch norm by the mini-batch, per filter, with what follows it in one pass: a residual and the ReLU."""

from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.kernels.choice import implementation
from convnets.kernels.onednn import batch_norm as onednn
from convnets.kernels.operands import check_floating
from convnets.kernels.pure_jax import batch_norm as pure_jax


def batch_norm(
    x: Array,
    scale: Array,
    bias: Array,
    residual: Array | None = None,
    *,
    epsilon: float,
    relu: bool = False,
    axis_name: str | None = None,
) -> tuple[Array, Array, Array]:
    """Normalizes by the mini-batch: `(x - mean) / sqrt(variance + epsilon) * scale + bias + residual`, then ReLU.

    Args:
      x: `[..., C]`, of any floating type; computed in float32.
      scale, bias: `[C]`.
      residual: of the shape of `x`, or None.
      relu: whether `max(0, .)` is taken of the sum.
      axis_name: the mapped axis over whose devices the mini-batch extends, in equal parts; None for this device's.

    Returns:
      The result in the type of `x`, and the mean and the (biased) variance, `[C]` in float32.

    Raises:
      InvalidValue: shapes that don't fit one another, or arrays that are not of floating point.
    """
    check_floating("a batch norm", x=x, scale=scale, bias=bias, residual=residual)
    if x.ndim == 0 or scale.shape != x.shape[-1:] or bias.shape != x.shape[-1:]:
        raise InvalidValue(
            f"a batch norm of {x.shape} was given scale {scale.shape} and bias {bias.shape}, "
            f"and both must be {x.shape[-1:]}"
        )
    if residual is not None and residual.shape != x.shape:
        raise InvalidValue(f"the residual of a batch norm has shape {residual.shape}, and must have {x.shape}")
    chosen = implementation()
    if chosen == "plain" or x.dtype not in (jnp.float32, jnp.bfloat16) or x.size == 0:
        return _plain(x, scale, bias, residual, epsilon, relu, axis_name)
    if residual is not None:
        residual = residual.astype(x.dtype)
    passes = onednn if chosen == "onednn" else pure_jax
    vectors = scale.astype(jnp.float32), bias.astype(jnp.float32)
    return _in_passes(x, *vectors, residual, passes, float(epsilon), relu, axis_name)


def over_devices(mean: Array, variance: Array, axis_name: str | None) -> tuple[Array, Array]:
    """Mean and variance of one batch made of the equal batches of all devices: their spread counts too."""
    if not _is_shared(axis_name):
        return mean, variance
    whole = lax.pmean(mean, axis_name)
    return whole, lax.pmean(variance + jnp.square(mean - whole), axis_name)


def _is_shared(axis_name: str | None) -> bool:
    """Whether there are several devices; XLA would carry a sum over one out, by copying."""
    return axis_name is not None and lax.axis_size(axis_name) > 1


def _plain(
    x: Array, scale: Array, bias: Array, residual: Array | None, epsilon: float, relu: bool, axis_name: str | None
) -> tuple[Array, Array, Array]:
    responses = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(responses, axes)
    mean, variance = over_devices(mean, jnp.mean(jnp.square(responses - mean), axes), axis_name)
    y = ((responses - mean) * (scale * lax.rsqrt(variance + epsilon)) + bias).astype(x.dtype)
    if residual is not None:
        y = y + residual
    return jax.nn.relu(y) if relu else y, mean, variance


@partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6, 7))
def _in_passes(
    x: Array,
    scale: Array,
    bias: Array,
    residual: Array | None,
    passes: ModuleType,
    epsilon: float,
    relu: bool,
    axis_name: str | None,
) -> tuple[Array, Array, Array]:
    mean, variance = passes.moments(x)
    mean, variance = over_devices(mean, variance, axis_name)
    return passes.normalize(x, mean, variance, scale, bias, residual, epsilon=epsilon, relu=relu), mean, variance


def _forward(x: Array, scale: Array, bias: Array, residual: Array | None, *options: Any) -> tuple[Any, Any]:
    y, mean, variance = _in_passes(x, scale, bias, residual, *options)
    return (y, mean, variance), (x, y, mean, variance, scale, residual is not None)


def _backward(
    passes: ModuleType, epsilon: float, relu: bool, axis_name: str | None, kept: Any, gradients: Any
) -> tuple[Array, Array, Array, Array | None]:
    """The gradient by hand: x reaches the result directly, and all results through the mean and the variance."""
    x, y, mean, variance, scale, has_residual = kept
    dy, dmean, dvariance = gradients
    count = x.size // x.shape[-1]
    sums = passes.gradient_sums(dy, x, y, mean, relu=relu)
    dbias, dscale = sums[0], sums[1] * lax.rsqrt(variance + epsilon)
    if _is_shared(axis_name):
        count = count * lax.axis_size(axis_name)
        *sums, dmean, dvariance = lax.psum((*sums, dmean, dvariance), axis_name)
    factor = scale * lax.rsqrt(variance + epsilon)
    slope = (2 * dvariance - factor / (variance + epsilon) * sums[1]) / count
    offset = (dmean - factor * sums[0]) / count
    dx, dresidual = passes.gradient(dy, x, y, mean, factor, slope, offset, relu=relu, residual=has_residual)
    return dx, dscale, dbias, dresidual


_in_passes.defvjp(_forward, _backward)
