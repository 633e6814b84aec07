"""Kernels that are differentiated by the JAX function that they stand for."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax


def differentiated_as(reference: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a function of arrays and keyword options the derivative of the reference, which is called alike.

    For derivatives of derivatives, which are rare: they are right, and as fast as XLA makes the reference.
    """

    def decorate(kernel: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(kernel)
        def call(*arrays: Any, **options: Any) -> Any:
            @jax.custom_vjp
            def function(*arrays: Any) -> Any:
                return kernel(*arrays, **options)

            def forward(*arrays: Any) -> tuple[Any, Any]:
                return function(*arrays), arrays

            def backward(arrays: Any, gradient: Any) -> Any:
                return jax.vjp(lambda *arrays: reference(*arrays, **options), *arrays)[1](gradient)

            function.defvjp(forward, backward)
            return function(*arrays)

        return call

    return decorate
