"""Formulations of the costly layers that suit XLA's CPU compiler, in JAX alone.

Each function computes what `lax` or Flax would, and can be differentiated, batched and compiled like them. Only the
order of the arithmetic differs, and with it the time on a CPU.
"""

from convnets.kernels.pure_jax import batch_norm
from convnets.kernels.pure_jax.convolution import convolution
from convnets.kernels.pure_jax.matrix_product import matrix_product
from convnets.kernels.pure_jax.max_pool import max_pool

__all__ = ["batch_norm", "convolution", "matrix_product", "max_pool"]
