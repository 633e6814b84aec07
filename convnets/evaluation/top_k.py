"""Top-k accuracy, the measure of ILSVRC."""

import jax.numpy as jnp
from jax import Array


def top_k_correct(logits: Array, labels: Array, k: int) -> Array:
    """Whether the true class is among the k with the highest logits: float32 `[N]` of 0 and 1.

    Of equal logits the lower class counts as the higher one, as in a stable sort, so that a constant network is
    right at the rate of chance and not always. A network whose logits are not numbers is never right.

    Args:
      logits: `[N, C]`.
      labels: int `[N]`.
    """
    true = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    classes = jnp.arange(logits.shape[-1])
    ahead = (logits > true) | ((logits == true) & (classes < labels[:, None]))
    rank = jnp.sum(ahead, axis=-1)
    numbers = jnp.isfinite(true[:, 0]) & ~jnp.isnan(logits).any(axis=-1)
    return ((rank < k) & numbers).astype(jnp.float32)
