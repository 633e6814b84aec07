"""A network's shapes, without computing anything, and images and variables to compute with."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def images(count: int, side: int, channels: int = 3) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(0).normal(size=(count, side, side, channels)).astype(np.float32)


@functools.cache
def abstract(network: nn.Module, side: int = 0, channels: int = 3) -> Any:
    """The shapes of its variables, for images of that side (by default the native one)."""
    side = side or network.image_size
    return jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, side, side, channels)))


def outputs(network: nn.Module, side: int = 0, channels: int = 3, count: int = 1) -> tuple[Any, dict[str, Any]]:
    """The shapes of its logits and feature maps in inference."""
    side = side or network.image_size
    images = jax.ShapeDtypeStruct((count, side, side, channels), jnp.float32)
    return jax.eval_shape(lambda v, x: network.apply(v, x, train=False), abstract(network, side, channels), images)


def entries(tree: Any) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def weights(tree: Any) -> int:
    """Entries of its kernels alone, as the lecture counts."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return sum(math.prod(leaf.shape) for path, leaf in leaves if path[-1].key == "kernel")


def random_variables(network: nn.Module, side: int = 0, channels: int = 3, seed: int = 1) -> Any:
    """Numbers none of which is what it began with, that neither blow responses up nor let them die."""
    random = np.random.default_rng(seed)

    def value(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key == "kernel":
            return random.normal(0, (2 / math.prod(leaf.shape[:-1])) ** 0.5, leaf.shape).astype(np.float32)
        low, high = (0.5, 1.5) if path[-1].key in ("scale", "variance") else (-0.2, 0.2)
        return random.uniform(low, high, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(value, abstract(network, side, channels))


def run_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, compiled in half the time to slower code."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})(*arguments)
