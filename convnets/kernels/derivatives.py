"""What the derivatives of several kernels share."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from convnets.kernels.library import call


def differentiated_as(reference: Callable[..., Any], kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel, a function of arrays and keyword options, with the derivative of a JAX function that is called alike.

    For derivatives of derivatives, which are rare: they are right, and as fast as XLA makes the reference.
    """

    @wraps(kernel)
    def differentiable(*arrays: Any, **options: Any) -> Any:
        @jax.custom_vjp
        def function(*arrays: Any) -> Any:
            return kernel(*arrays, **options)

        def forward(*arrays: Any) -> tuple[Any, Any]:
            return function(*arrays), arrays

        def backward(arrays: Any, gradient: Any) -> Any:
            return jax.vjp(lambda *arrays: reference(*arrays, **options), *arrays)[1](gradient)

        function.defvjp(forward, backward)
        return function(*arrays)

    return differentiable


@jax.custom_vjp
def relu_gradient(dy: Array, y: Array) -> tuple[Array, Array]:
    """The gradient `[..., F]` where the response `y` is above zero, and its sum over all but the filters, `[F]`."""
    masked = jax.ShapeDtypeStruct(dy.shape, dy.dtype)
    return call("relu_gradient", (masked, jax.ShapeDtypeStruct(dy.shape[-1:], jnp.float32)), dy, y)


def _forward(dy: Array, y: Array) -> tuple[tuple[Array, Array], Any]:
    return relu_gradient(dy, y), y


def _backward(y: Any, gradients: tuple[Array, Array]) -> tuple[Array, Array]:
    masked, sums = gradients
    # Both results are linear in dy; at the corner of the ReLU nothing is said about y, as in jax.nn.relu.
    ddy = jnp.where(y > 0, masked + sums.astype(masked.dtype), 0)
    return ddy, jnp.zeros_like(y)


relu_gradient.defvjp(_forward, _backward)
