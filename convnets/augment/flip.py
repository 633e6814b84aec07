"""Mirror images (lecture: "Types of data augmentation: Horizontal Flip")."""

import jax
import jax.numpy as jnp
from jax import Array

from convnets.augment.boxes import clipped
from convnets.augment.registry import Example, augmentations
from convnets.errors import InvalidValue


def mirror(example: Example) -> Example:
    """The example as seen in a mirror: `image [H, W, C]`, and `mask [H, W]` and `boxes [K, 4]` where it has them.

    An empty box stays (0, 0, 0, 0).
    """
    height, width, _ = example["image"].shape
    mirrored = example | {"image": example["image"][:, ::-1]}
    if "mask" in example:
        mirrored["mask"] = example["mask"][:, ::-1]
    if "boxes" in example:
        y0, x0, y1, x1 = jnp.moveaxis(example["boxes"], -1, 0)
        mirrored["boxes"] = clipped(jnp.stack([y0, width - x1, y1, width - x0], axis=-1), height, width)
    return mirrored


@augmentations.register
def flip(key: Array, example: Example, *, probability: float = 0.5) -> Example:
    """Mirrors the example with the given probability.

    Raises:
      InvalidValue: a probability outside [0, 1].
    """
    if not 0 <= probability <= 1:
        raise InvalidValue(f"the probability of a flip must lie in [0, 1], and is {probability}")
    toss = jax.random.bernoulli(key, probability)
    return jax.tree.map(lambda yes, no: jnp.where(toss, yes, no), mirror(example), example)
