"""Batch normalization of convolutional layers (Ioffe and Szegedy, ICML 2015; the lecture's two options)."""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

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

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[N, H, W, C] -> [N, H, W, C]`; `train` chooses the mini-batch's statistics and updates the running ones."""
        axes = (0, 1, 2) if self.per == "filter" else (0,)
        shape = x.shape[len(axes) :]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_variance = self.variable("batch_stats", "variance", jnp.ones, shape, jnp.float32)
        scale = self.param("scale", self.scale_init, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), shape, jnp.float32)

        if train:
            x = x.astype(jnp.float32)
            mean = jnp.mean(x, axes)
            variance = jnp.mean(jnp.square(x - mean), axes)
            if not self.is_initializing():
                whole_mean, whole_variance = self._over_devices(mean, variance)
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * lax.stop_gradient(whole_mean)
                running_variance.value = keep * running_variance.value + (1 - keep) * lax.stop_gradient(whole_variance)
                if self.synchronized:
                    mean, variance = whole_mean, whole_variance
        else:
            mean, variance = running_mean.value, running_variance.value

        factor = scale * lax.rsqrt(variance + self.epsilon)
        return ((x - mean) * factor + bias).astype(self.dtype)

    def _over_devices(self, mean: Array, variance: Array) -> tuple[Array, Array]:
        """Mean and variance of one batch made of the equal batches of all devices."""
        if self.axis_name is None:
            return mean, variance
        whole_mean = lax.pmean(mean, self.axis_name)
        spread = jnp.square(mean - whole_mean)
        return whole_mean, lax.pmean(variance + spread, self.axis_name)
