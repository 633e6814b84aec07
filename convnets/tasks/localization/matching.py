"""Which of a network's K answers is held against which of K true objects, where their order is free."""

import jax
import jax.numpy as jnp
import optax
from jax import Array


def cheapest(costs: Array) -> Array:
    """The assignment of least total cost (Kuhn, "The Hungarian Method", 1955), int32 `[N, K]`.

    Args:
      costs: of answer k and object j, `[N, K, K]`, finite.

    Returns:
      For each answer its object.
    """

    def assignment(matrix: Array) -> Array:
        answers, objects = optax.assignment.hungarian_algorithm(matrix)
        return jnp.zeros(len(matrix), jnp.int32).at[answers].set(objects.astype(jnp.int32))

    return jax.lax.stop_gradient(jax.vmap(assignment)(costs))
