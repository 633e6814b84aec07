"""Means over regions that tile a map: rows are added first, a whole line of the map at once."""

from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import Array


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def mean_of_tiles(x: Array, size: int) -> Array:
    """`[N, size H, size W, C] -> [N, H, W, C]`, summed in float32."""
    count, height, width, channels = x.shape
    lines = x.astype(jnp.float32).reshape(count, height // size, size, width * channels)
    rows = reduce(jnp.add, [lines[:, :, i] for i in range(size)])
    rows = rows.reshape(count, height // size, width // size, size, channels)
    return (reduce(jnp.add, [rows[:, :, :, i] for i in range(size)]) / size**2).astype(x.dtype)


def _forward(x: Array, size: int) -> tuple[Array, None]:
    return mean_of_tiles(x, size), None


def _backward(size: int, _: None, dy: Array) -> tuple[Array]:
    count, height, width, channels = dy.shape
    share = (dy.astype(jnp.float32) / size**2).astype(dy.dtype)
    spread = jnp.broadcast_to(share[:, :, None, :, None], (count, height, size, width, size, channels))
    return (spread.reshape(count, height * size, width * size, channels),)


mean_of_tiles.defvjp(_forward, _backward)
