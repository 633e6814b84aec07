"""The function that programs are made of: what `launch.py predict` computes, parameters and preprocessing within it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from convnets.cli.exporting.trained import Trained
from convnets.evaluation.inference import predict


def prediction(trained: Trained) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """From uint8 images `[N, H, W, C]` to what the task predicts of each."""
    return partial(predict, trained.model, trained.variables)


def images_of(trained: Trained) -> jax.ShapeDtypeStruct:
    """uint8 `[N, H, W, C]`, N being left open."""
    return jax.ShapeDtypeStruct((*jax.export.symbolic_shape("N"), *trained.model.info.image_shape), jnp.uint8)


def in_words(images: jax.ShapeDtypeStruct, outputs: Mapping[str, Any]) -> str:
    """Such as `images uint8 [N, 32, 32, 1] -> classes int32 [N, 5]`."""
    given, *made = (
        f"{name} {array.dtype} [{', '.join(map(str, array.shape))}]"
        for name, array in {"images": images, **dict(sorted(outputs.items()))}.items()
    )
    return f"{given} -> {', '.join(made)}"
