"""Local response normalization."""

import jax.numpy as jnp
from jax import Array

from convnets.kernels import plain
from convnets.kernels.choice import implementation
from convnets.kernels.onednn import local_response_norm as onednn
from convnets.kernels.operands import check_floating


def local_response_norm(x: Array, *, size: int, bias: float, alpha: float, beta: float) -> Array:
    """`x_i / (bias + alpha * sum_j x_j^2) ^ beta`, where j runs over the `size` channels around i.

    Args:
      x: `[..., C]`, of any floating type; computed in float32.
      size: odd.

    Raises:
      InvalidValue: another type.
    """
    check_floating("a local response norm", x=x)
    known = x.dtype in (jnp.float32, jnp.bfloat16) and x.size and beta == onednn.BETA and size % 2
    if known and implementation() == "onednn":
        return onednn.local_response_norm(x, size, bias, alpha)
    return plain.local_response_norm(x, size, bias, alpha, beta)
