"""The table of augmentations."""

from collections.abc import Callable

from jax import Array

from convnets.registry import Registry

Example = dict[str, Array]

augmentations: Registry[Callable[..., Example]] = Registry("augmentation")
"""Each is `f(key, example, *, options) -> example`, jittable, and may be vmapped with a key an example."""
