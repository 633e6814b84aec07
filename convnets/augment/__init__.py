"""Random transforms of training examples: pure functions of (key, example), run on the device inside the step.

from convnets import augment

example = augment.flip(key, {"image": image}, probability=0.5)
apply = augment.compose((("pad_and_crop", {"padding": 4}), ("flip", {})))
batch = apply(augment.example_keys(seed, epochs, indices), batch)
"""

from convnets.augment.colour import colour_jitter, pca_colour
from convnets.augment.composition import Transform, compose, example_keys, needs_components, with_components
from convnets.augment.crop import flip, pad_and_crop, random_crop
from convnets.augment.erasing import random_erasing
from convnets.augment.lens import lens_distortion
from convnets.augment.mixing import cutmix, mixup
from convnets.augment.motions import affine
from convnets.augment.resize import random_resized_crop, scale_and_crop
from convnets.augment.transforms import Example, transforms


def list() -> tuple[str, ...]:
    """The names of all transforms."""
    return tuple(transforms)


__all__ = [
    "Example",
    "Transform",
    "affine",
    "colour_jitter",
    "compose",
    "cutmix",
    "example_keys",
    "flip",
    "lens_distortion",
    "list",
    "mixup",
    "needs_components",
    "pad_and_crop",
    "pca_colour",
    "random_crop",
    "random_erasing",
    "random_resized_crop",
    "scale_and_crop",
    "transforms",
    "with_components",
]
