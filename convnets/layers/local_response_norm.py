"""Local response normalization (Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from convnets.layers.geometry import check_floating
from convnets.layers.implementation import implementation, kernels


class LocalResponseNorm(nn.Module):
    """Divides each response by a power of the squares of its neighbours among the filters.

    `b_i = a_i / (bias + alpha * sum_j a_j^2) ^ beta`, where j runs over the `size` filters around i at the same
    position. The defaults are the paper's. (Caffe and PyTorch divide `alpha` by `size`, and begin with bias 1.)

    Attributes:
      size: how many neighbouring filters, itself included; odd.
    """

    size: int = 5
    bias: float = 2.0
    alpha: float = 1e-4
    beta: float = 0.75

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, H, W, C] -> [N, H, W, C]`, of the same type; computed in float32."""
        return local_response_norm(x, size=self.size, bias=self.bias, alpha=self.alpha, beta=self.beta)


def local_response_norm(x: Array, *, size: int, bias: float, alpha: float, beta: float) -> Array:
    """`x_i / (bias + alpha * sum_j x_j^2) ^ beta`, where j runs over the `size` channels around i.

    Args:
      x: `[..., C]`, of any floating type; computed in float32.
      size: odd.

    Raises:
      InvalidValue: another type.
    """
    check_floating("a local response norm", x=x)
    if implementation() == "onednn":
        known = x.dtype in (jnp.float32, jnp.bfloat16) and x.size and beta == kernels.BETA and size % 2
        if known:
            return kernels.local_response_norm(x, size, bias, alpha, _by_jax)
    return _by_jax(x, size, bias, alpha, beta)


def _by_jax(x: Array, size: int, bias: float, alpha: float, beta: float) -> Array:
    responses = x.astype(jnp.float32)
    reach, channels = size // 2, x.shape[-1]
    squares = jnp.pad(jnp.square(responses), [(0, 0)] * (x.ndim - 1) + [(reach, reach)])
    neighbours = sum(lax.slice_in_dim(squares, i, i + channels, axis=-1) for i in range(size))
    return (responses * (bias + alpha * neighbours) ** -beta).astype(x.dtype)
