"""The product of a batch of vectors and a matrix, with what may follow it in one pass: bias and ReLU."""

import jax
import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue
from convnets.kernels import pure_jax
from convnets.kernels.choice import implementation
from convnets.kernels.onednn import matrix_product as onednn
from convnets.kernels.operands import check_floating


def fully_connected(x: Array, kernel: Array, bias: Array | None = None, *, relu: bool = False) -> Array:
    """`x @ kernel + bias`, then `max(0, .)` if `relu`, in the type of `x`.

    Args:
      x: `[N, K]`, of any floating type.
      kernel: `[K, F]`; in a lower precision it may be rounded to the type of `x`, and its gradient is not.
      bias: `[F]`.

    Raises:
      InvalidValue: shapes that don't fit one another, or arrays that are not of floating point.
    """
    check_floating("a matrix product", x=x, kernel=kernel, bias=bias)
    if x.ndim != 2 or kernel.ndim != 2 or x.shape[1] != kernel.shape[0]:
        raise InvalidValue(f"a matrix product of {x.shape} and {kernel.shape} does not fit")
    if bias is not None and bias.shape != kernel.shape[1:]:
        raise InvalidValue(f"the bias of a matrix product has shape {bias.shape}, and must have {kernel.shape[1:]}")
    chosen = implementation()
    known = x.dtype in (jnp.float32, jnp.bfloat16) and kernel.dtype in (jnp.float32, x.dtype)
    if chosen == "onednn" and known and 0 not in (*x.shape, *kernel.shape):
        return onednn.fully_connected(x, kernel, None if bias is None else bias.astype(jnp.float32), relu)
    y = x @ kernel.astype(x.dtype) if chosen == "plain" else pure_jax.matrix_product(x, kernel)
    if bias is not None:
        y = y + bias.astype(x.dtype)
    return jax.nn.relu(y) if relu else y
