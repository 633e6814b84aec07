"""How many multiply-adds a network's layers need, by the textbook formula."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from convnets.analysis.summary import summarize


def of_an_image(network: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Multiply-adds of (inference, training) of one image `(H, W, C)`.

    A layer whose kernel has K numbers and whose output has P positions takes K P, forward. Backward takes as much for
    the gradient of the kernel and again for that of the input, which the first layer does without. Everything without a
    kernel (pooling, activations, batch norm) is left out.
    """
    images = jnp.zeros((1, *image_shape), jnp.float32)
    params = jax.eval_shape(lambda: network.init(jax.random.key(0), images, train=False))["params"]
    forward = []
    for row in summarize(network, image_shape):
        layer: Any = params
        for key in row.path.split("/"):
            layer = layer.get(key, {})
        if "kernel" in layer:
            forward.append(math.prod(layer["kernel"].shape) * math.prod(row.output_shape[1:-1]))
    return sum(forward), 3 * sum(forward) - forward[0]
