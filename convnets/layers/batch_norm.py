"""Batch normalization of convolutional layers (Ioffe and Szegedy, ICML 2015; the lecture's two options)."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.layers.geometry import check_floating
from convnets.layers.implementation import implementation, kernels
from convnets.layers.initializers import ones


class BatchNorm(nn.Module):
    """Normalizes responses by the mini-batch in training and by running statistics afterwards.

    Option 2 of the lecture (`per="filter"`, what everybody means): one mean and variance for each filter, over the
    examples and all positions. Option 1 (`per="location"`): one for each filter at each position, as in a fully
    connected layer; it ties the network to one image size and is here for comparison.

    Under a mapped axis the mini-batch is that of all devices (`synchronized`) or each device's own. Either way the
    running statistics, which evaluation uses, are those that one batch over all devices would give: the mean of the
    means, and the mean of the variances *plus the variance of the means*. So they are equal on all devices.

    Statistics are computed in float32, the variance around the mean (a difference of squares loses all precision
    when the mean is large against the deviation), and biased, as in the lecture.

    Attributes:
      momentum: share of the old running statistics that a step keeps (0.9 here is PyTorch's 0.1).
      epsilon: added to the variance before the square root.
      axis_name: the mapped axis of the devices, or None outside of one.
      synchronized: whether the devices normalize by a common mean and variance.
      scale_init: initialization of the scale; zeros make a residual block begin as the identity.
      dtype: type of the result; parameters and statistics are float32.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    per: Literal["filter", "location"] = "filter"
    axis_name: str | None = None
    synchronized: bool = True
    scale_init: Callable[..., Array] = ones
    dtype: Any = jnp.float32

    def __call__(self, x: Array, train: bool, *, residual: Array | None = None, relu: bool = False) -> Array:
        """`[N, H, W, C] -> [N, H, W, C]`.

        Args:
          train: whether to normalize by the mini-batch, and to update the running statistics by it.
          residual: of the shape of `x`; added to the result.
          relu: whether a ReLU follows.
        """
        x = x.astype(jnp.promote_types(x.dtype, self.dtype))
        if train and self.per == "filter":
            y = self._by_mini_batch(x, residual, relu)
        else:
            y = self._normalize(x, train)
            y = y if residual is None else y + residual
            y = jax.nn.relu(y) if relu else y
        return y.astype(self.dtype)

    def factor_and_shift(self, features: int) -> tuple[Array, Array]:
        """What evaluation multiplies the responses of each filter by, and adds then; `[features]`."""
        variables = self._variables((features,))
        factor = variables.scale * lax.rsqrt(variables.variance.value + self.epsilon)
        return factor, variables.bias - variables.mean.value * factor

    @nn.compact
    def _variables(self, shape: tuple[int, ...]) -> "Variables":
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        variance = self.variable("batch_stats", "variance", jnp.ones, shape, jnp.float32)
        scale = self.param("scale", self.scale_init, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), shape, jnp.float32)
        return Variables(mean, variance, scale, bias)

    def _by_mini_batch(self, x: Array, residual: Array | None, relu: bool) -> Array:
        variables = self._variables(x.shape[-1:])
        axis_name = self.axis_name if self.synchronized and not self.is_initializing() else None
        y, mean, variance = batch_norm(
            x, variables.scale, variables.bias, residual, epsilon=self.epsilon, relu=relu, axis_name=axis_name
        )
        if axis_name is None and not self.is_initializing():
            mean, variance = over_devices(mean, variance, self.axis_name)
        self._remember(variables, mean, variance)
        return y

    def _normalize(self, x: Array, train: bool) -> Array:
        """By the mini-batch, of statistics of any shape; or by the running statistics."""
        axes = (0, 1, 2) if self.per == "filter" else (0,)
        variables = self._variables(x.shape[len(axes) :])
        mean, variance = variables.mean.value, variables.variance.value
        if train:
            x = x.astype(jnp.float32)
            mean = jnp.mean(x, axes)
            variance = jnp.mean(jnp.square(x - mean), axes)
            if not self.is_initializing():
                whole = over_devices(mean, variance, self.axis_name)
                self._remember(variables, *whole)
                mean, variance = whole if self.synchronized else (mean, variance)
        factor = variables.scale * lax.rsqrt(variance + self.epsilon)
        return ((x - mean) * factor + variables.bias).astype(self.dtype)

    def _remember(self, variables: "Variables", mean: Array, variance: Array) -> None:
        """Moves the running statistics towards those of a mini-batch."""
        if self.is_initializing():
            return
        keep = self.momentum
        variables.mean.value = keep * variables.mean.value + (1 - keep) * lax.stop_gradient(mean)
        variables.variance.value = keep * variables.variance.value + (1 - keep) * lax.stop_gradient(variance)


class Variables(NamedTuple):
    """Of a batch norm: the running statistics and the parameters, all of one shape and float32."""

    mean: nn.Variable[Array]
    variance: nn.Variable[Array]
    scale: Array
    bias: Array


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
    if implementation() == "onednn" and x.dtype in (jnp.float32, jnp.bfloat16) and x.size:
        residual = None if residual is None else residual.astype(x.dtype)
        vectors = scale.astype(jnp.float32), bias.astype(jnp.float32)
        axis = axis_name if _is_shared(axis_name) else None
        return kernels.batch_norm(x, *vectors, residual, float(epsilon), relu, axis)
    responses = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(responses, axes)
    mean, variance = over_devices(mean, jnp.mean(jnp.square(responses - mean), axes), axis_name)
    y = ((responses - mean) * (scale * lax.rsqrt(variance + epsilon)) + bias).astype(x.dtype)
    if residual is not None:
        y = y + residual
    return jax.nn.relu(y) if relu else y, mean, variance


def over_devices(mean: Array, variance: Array, axis_name: str | None) -> tuple[Array, Array]:
    """Mean and variance of one batch made of the equal batches of all devices: their spread counts too."""
    if not _is_shared(axis_name):
        return mean, variance
    whole = lax.pmean(mean, axis_name)
    return whole, lax.pmean(variance + jnp.square(mean - whole), axis_name)


def _is_shared(axis_name: str | None) -> bool:
    """Whether there are several devices; XLA would carry a sum over one out, by copying."""
    return axis_name is not None and lax.axis_size(axis_name) > 1
