"""The matrix product of fully connected layers and 1x1 convolutions."""

import jax
import jax.numpy as jnp
from jax import Array, lax


@jax.custom_vjp
def matrix_product(x: Array, kernel: Array) -> Array:
    """`[N, K] @ [K, F] -> [N, F]`, of the type of `x`.

    The kernel takes part in the type of `x`; its gradient is summed in float32, where the processor's products are
    fastest, and has the kernel's own type.
    """
    return jnp.dot(x, kernel.astype(x.dtype))


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return matrix_product(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = kept
    return matrix_product(dy, kernel.astype(dy.dtype).T), kernel_gradient(x, dy).astype(kernel.dtype)


matrix_product.defvjp(_forward, _backward)


def kernel_gradient(x: Array, dy: Array) -> Array:
    """`[N, K], [N, F] -> [K, F]`, the sum over N of the outer products, in float32 at least."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return lax.dot_general(x.astype(wide), dy.astype(wide), (((0,), (0,)), ((), ())))
