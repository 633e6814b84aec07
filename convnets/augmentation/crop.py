"""Crops at a place, and at a random one."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.augmentation.registry import Example, augmentations
from convnets.errors import InvalidValue

IGNORE = 255
"""The mask value of pixels that have no label."""


def crop_at(example: Example, top: Array, left: Array, height: int, width: int) -> Example:
    """The `height` x `width` part of the example whose upper left pixel is (top, left), int32 scalars.

    `image [H, W, C]` and `mask [H, W]` are cut; `boxes [K, 4]` are moved and clipped to the part.
    """
    channels = example["image"].shape[-1]
    part = example | {"image": lax.dynamic_slice(example["image"], (top, left, 0), (height, width, channels))}
    if "mask" in example:
        part["mask"] = lax.dynamic_slice(example["mask"], (top, left), (height, width))
    if "boxes" in example:
        moved = example["boxes"] - jnp.stack([top, left, top, left])
        part["boxes"] = jnp.clip(moved, 0, jnp.array([height, width, height, width]))
    return part


@augmentations.register
def pad_and_crop(key: Array, example: Example, *, padding: int = 4) -> Example:
    """Zeros around the image, then a random part of the image's own size (He et al. 2016, section 4.2, on CIFAR-10).

    Args:
      padding: pixels added on each side; padded pixels of a mask are ignored.

    Raises:
      InvalidValue: a negative padding.
    """
    if padding < 0:
        raise InvalidValue(f"the padding before a crop must not be negative, and is {padding}")
    height, width, _ = example["image"].shape
    both = (padding, padding)
    padded = example | {"image": jnp.pad(example["image"], (both, both, (0, 0)))}
    if "mask" in example:
        padded["mask"] = jnp.pad(example["mask"], (both, both), constant_values=IGNORE)
    if "boxes" in example:
        padded["boxes"] = example["boxes"] + padding
    top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    return crop_at(padded, top, left, height, width)
