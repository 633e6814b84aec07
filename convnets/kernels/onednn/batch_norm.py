"""The passes of batch norm over the responses, by the compiled kernels."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from convnets.kernels.onednn.derivative import differentiated_as
from convnets.kernels.onednn.library import call
from convnets.kernels.pure_jax import batch_norm as reference


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
    result = jax.ShapeDtypeStruct(x.shape, x.dtype)
    options = {"epsilon": float(epsilon), "relu": relu}
    return call("batch_norm_normalize", result, x, mean, variance, scale, bias, residual, **options)


@differentiated_as(reference.gradient_sums)
def gradient_sums(dy: Array, x: Array, y: Array, mean: Array, *, relu: bool) -> tuple[Array, Array]:
    """Sums of `dy` and of `dy (x - mean)` over all but the filters, `[C]` in float32; `dy` where y > 0 if `relu`."""
    result = _vector(x)
    return call("batch_norm_gradient_sums", (result, result), dy, x, y, mean, relu=relu)


@differentiated_as(reference.gradient)
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
    whole = jax.ShapeDtypeStruct(x.shape, x.dtype)
    beside = whole if residual else jax.ShapeDtypeStruct((0,), x.dtype)
    vectors = mean, factor, slope, offset
    dx, passed = call("batch_norm_gradient", (whole, beside), dy, x, y, *vectors, relu=relu, residual=residual)
    return dx, passed if residual else None


def _vector(x: Array) -> Any:
    return jax.ShapeDtypeStruct(x.shape[-1:], jnp.float32)
