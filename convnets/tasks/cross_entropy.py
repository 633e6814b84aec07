"""Softmax cross-entropy of many pixels with few classes, whose gradient is one pass over the scores."""

import jax
import jax.numpy as jnp
from jax import Array


@jax.custom_vjp
def cross_entropy(scores: Array, labels: Array) -> Array:
    """-log softmax(scores)[label] in nats, float32 `[...]`; where a label is no class it means nothing.

    Differentiable with respect to the scores.

    Args:
      scores: float32 `[..., C]`.
      labels: integers `[...]` in [0, C).
    """
    return _forward(scores, labels)[0]


def _forward(scores: Array, labels: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    log_total = jax.nn.logsumexp(scores, axis=-1)
    own = jnp.sum(jnp.where(_is_label(scores, labels), scores, 0.0), axis=-1)
    return log_total - own, (scores, labels, log_total)


def _backward(kept: tuple[Array, Array, Array], gradient: Array) -> tuple[Array, None]:
    """softmax(scores) less one for the label, times the gradient of the loss."""
    scores, labels, log_total = kept
    probabilities = jnp.exp(scores - log_total[..., None])
    return (probabilities - _is_label(scores, labels)) * gradient[..., None], None


def _is_label(scores: Array, labels: Array) -> Array:
    """`[..., C]`: compared, not taken by its index, whose gradient is slow on CPU."""
    return labels[..., None] == jnp.arange(scores.shape[-1])


cross_entropy.defvjp(_forward, _backward)
