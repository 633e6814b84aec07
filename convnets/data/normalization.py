"""The normalization of pixels that a network expects."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array


class Normalization(NamedTuple):
    """Mean and standard deviation of each channel, on the scale where white is 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Array) -> Array:
        """Images `[..., C]`, float in [0, 1], as float32 of about zero mean and unit variance."""
        return (images - jnp.array(self.mean)) / jnp.array(self.std)

    def for_channels(self, channels: int) -> "Normalization":
        """For images of another number of channels: the mean over the channels for one, the same in turn for more."""
        if channels == 1 and len(self.mean) > 1:
            return Normalization((float(np.mean(self.mean)),), (float(np.mean(self.std)),))
        turns = [channel % len(self.mean) for channel in range(channels)]
        return Normalization(tuple(self.mean[i] for i in turns), tuple(self.std[i] for i in turns))

    @classmethod
    def parse(cls, mean: Any, std: Any, *scales: Any) -> "Normalization | None":
        """What a file says, divided by the scales; None unless all are finite, equally many and `std` positive."""
        try:
            scale = math.prod(float(factor) for factor in scales)
            found = cls(tuple(float(value) / scale for value in mean), tuple(float(value) / scale for value in std))
        except (TypeError, ValueError, ZeroDivisionError):
            return None
        finite = all(math.isfinite(value) for values in found for value in values)
        return found if finite and len(found.mean) == len(found.std) > 0 and min(found.std) > 0 else None


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of ImageNet's training pixels."""
