"""The four passes of batch norm over a map: two forward, two backward (Ioffe and Szegedy, ICML 2015).

With n numbers x of a filter, mean m, variance v, s = 1 / sqrt(v + epsilon), scale g and bias b:

    y  = (x - m) s g + b                                         (+ residual, then ReLU)
    dx = g s (dy - sum(dy) / n - (x - m) s^2 sum(dy (x - m)) / n)

Sums and formulas are in float32. What is between two passes may be summed over devices.
"""

import jax.numpy as jnp
from jax import Array, lax


def moments(x: Array) -> tuple[Array, Array]:
    """`[..., C] ->` mean `[C]` and variance `[C]` in float32, over all axes but the last; the variance is biased.

    The variance is that around the mean: a difference of squares loses all precision when the mean is large against
    the deviation.
    """
    x = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    return mean, jnp.mean(jnp.square(x - mean), axes)


def normalize(
    x: Array,
    mean: Array,
    variance: Array,
    scale: Array,
    bias: Array,
    residual: Array | None = None,
    *,
    epsilon: float,
    relu: bool,
) -> Array:
    """`[..., C] -> [..., C]`: normalizes, adds the residual if there is one, and applies ReLU where asked.

    Args:
      mean, variance, scale, bias: `[C]`, float32.
      residual: of the shape of `x`, or None.

    Returns:
      The type of `x`.
    """
    factor = scale * lax.rsqrt(variance + epsilon)
    y = (x.astype(jnp.float32) - mean) * factor + bias
    if residual is not None:
        y = y + residual.astype(jnp.float32)
    return (jnp.maximum(y, 0) if relu else y).astype(x.dtype)


def gradient_sums(dy: Array, x: Array, y: Array, mean: Array, *, relu: bool) -> tuple[Array, Array]:
    """`(sum(dy), sum(dy (x - mean)))`, both `[C]` in float32, over all axes but the last.

    Args:
      dy: gradient by `y`, `[..., C]`; with `relu` it counts where `y` is above zero.
      y: what `normalize` gave.
    """
    axes = tuple(range(x.ndim - 1))
    dy = _through_relu(dy, y, relu)
    return jnp.sum(dy, axes), jnp.sum(dy * (x.astype(jnp.float32) - mean), axes)


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
    """`factor dy + slope (x - mean) + offset`, and `dy` itself for the residual (None without one).

    Args:
      dy: gradient by `y`, `[..., C]`; with `relu` it counts where `y` is above zero.
      y: what `normalize` gave.
      mean, factor, slope, offset: `[C]`, float32; `g s`, and what the two sums make of the formula above.

    Returns:
      The type of `x`.
    """
    dy = _through_relu(dy, y, relu)
    dx = factor * dy + slope * (x.astype(jnp.float32) - mean) + offset
    return dx.astype(x.dtype), dy.astype(x.dtype) if residual else None


def _through_relu(dy: Array, y: Array, relu: bool) -> Array:
    """In float32."""
    dy = dy.astype(jnp.float32)
    return jnp.where(y > 0, dy, 0.0) if relu else dy
