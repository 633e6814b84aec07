"""Random transformations of training examples: pure functions of (key, example), run on the device inside the step."""

from convnets.augmentation import crop as _crop  # noqa: F401  (registers its augmentations)
from convnets.augmentation import flip as _flip  # noqa: F401
from convnets.augmentation.composition import compose, example_keys
from convnets.augmentation.registry import augmentations

__all__ = ["augmentations", "compose", "example_keys"]
