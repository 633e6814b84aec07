"""Local response normalization (Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3)."""

import flax.linen as nn
from jax import Array

from convnets import kernels


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
        return kernels.local_response_norm(x, size=self.size, bias=self.bias, alpha=self.alpha, beta=self.beta)
