"""Random transformations of training examples: pure functions of (key, example), run on the device inside the step."""

from convnets.augment import affine as _affine  # noqa: F401  (registers its augmentations)
from convnets.augment import colour as _colour  # noqa: F401
from convnets.augment import crop as _crop  # noqa: F401
from convnets.augment import erasing as _erasing  # noqa: F401
from convnets.augment import flip as _flip  # noqa: F401
from convnets.augment import lens as _lens  # noqa: F401
from convnets.augment import pca_colour as _pca_colour  # noqa: F401
from convnets.augment import resize as _resize  # noqa: F401
from convnets.augment.composition import Link, compose, example_keys, needs_components, with_components
from convnets.augment.mixing import mixtures
from convnets.augment.registry import augmentations

__all__ = [
    "Link",
    "augmentations",
    "compose",
    "example_keys",
    "mixtures",
    "needs_components",
    "with_components",
]
