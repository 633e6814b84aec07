"""Variables of narrow networks, every number drawn at random."""

import math
from typing import Any

import jax
import numpy as np

from convnets import models
from convnets.pretrained.conversion import to_own_names as by_name

__all__ = ["by_name", "drawn", "narrow", "shapes_of", "variables_of"]


def narrow(name: str, **options: Any) -> Any:
    """The network of 10 classes for images of 32 pixels, with few filters."""
    return models.create(name, 10, **({"width": 1 / 16, "image_size": 32} | options))


def shapes_of(network: Any, channels: int = 3) -> Any:
    side = network.image_size
    images = np.zeros((1, side, side, channels), np.float32)
    return {"batch_stats": {}} | jax.eval_shape(network.init, jax.random.key(0), images)


def drawn(shapes: Any, seed: int = 0) -> Any:
    """Numbers by which responses neither grow nor fade, as NumPy's arrays."""
    random = np.random.default_rng(seed)

    def one(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key == "kernel":
            return random.normal(0, (2 / math.prod(leaf.shape[:-1])) ** 0.5, leaf.shape).astype(np.float32)
        low = 0.5 if path[-1].key in ("scale", "variance") else -0.5
        return random.uniform(low, low + 1, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(one, shapes)


def variables_of(network: Any, seed: int = 0, channels: int = 3) -> Any:
    return drawn(shapes_of(network, channels), seed)
