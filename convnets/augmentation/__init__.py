"""Random transformations of training examples: pure functions of (key, example), run on the device inside the step."""

from convnets.augmentation import affine as _affine  # noqa: F401  (registers its augmentations)
from convnets.augmentation import colour as _colour  # noqa: F401
from convnets.augmentation import crop as _crop  # noqa: F401
from convnets.augmentation import erasing as _erasing  # noqa: F401
from convnets.augmentation import flip as _flip  # noqa: F401
from convnets.augmentation import lens as _lens  # noqa: F401
from convnets.augmentation import pca_colour as _pca_colour  # noqa: F401
from convnets.augmentation import resize as _resize  # noqa: F401
from convnets.augmentation.composition import Link, compose, example_keys, needs_components, with_components
from convnets.augmentation.mixing import mixtures
from convnets.augmentation.registry import augmentations

__all__ = [
    "Link",
    "augmentations",
    "compose",
    "example_keys",
    "mixtures",
    "needs_components",
    "with_components",
]
