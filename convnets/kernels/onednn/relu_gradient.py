"""The gradient through a ReLU and the bias before it, in one pass."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from convnets.kernels.onednn.library import call


@jax.custom_vjp
def relu_gradient(dy: Array, y: Array) -> tuple[Array, Array]:
    """The gradient `[..., F]` where the response `y` is above zero, and its sum over all but the filters, `[F]`."""
    masked = jax.ShapeDtypeStruct(dy.shape, dy.dtype)
    return call("relu_gradient", (masked, jax.ShapeDtypeStruct(dy.shape[-1:], jnp.float32)), dy, y)


def _forward(dy: Array, y: Array) -> tuple[tuple[Array, Array], Any]:
    return relu_gradient(dy, y), y


def _backward(y: Any, gradients: tuple[Array, Array]) -> tuple[Array, Array]:
    masked, sums = gradients
    # Both results are linear in dy; where the ReLU has its corner nothing is said about y, as in jax.nn.relu.
    ddy = jnp.where(y > 0, masked + sums.astype(masked.dtype), 0)
    return ddy, jnp.zeros_like(y)


relu_gradient.defvjp(_forward, _backward)
