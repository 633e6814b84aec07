"""Scores of views of images, and what they are averaged to."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from convnets.evaluation.views import Size

Average = Literal["probabilities", "logits"]
AVERAGES: tuple[Average, ...] = ("probabilities", "logits")
"""What is averaged over views and networks: softmax probabilities (Krizhevsky et al. 2012), or logits."""

TINY = 1e-37
"""What a smaller probability counts as, so that its logarithm is a number; float32 goes down to 1.2e-38."""


def take_crop(images: Array, region: Array, size: Size) -> Array:
    """A crop of every image, resampled.

    Args:
      images: `[N, H, W, C]`, float.
      region: top, left, height, width (pixels, perhaps fractions) and mirrored (0 or 1), float32 `[5]`; may be traced.

    Returns:
      `[N, *size, C]`: linear interpolation, over as many pixels as fall on one where the crop shrinks.
    """
    scale = jnp.array(size) / region[2:4]
    shape = (images.shape[0], *size, images.shape[3])
    crops = jax.image.scale_and_translate(images, shape, (1, 2), scale, -region[:2] * scale, "linear", antialias=True)
    return jnp.where(region[4] > 0, crops[:, :, ::-1], crops)


def take_map(images: Array, size: Size, mirrored: Array) -> Array:
    """Every image resampled to that size, and mirrored where `mirrored` (0 or 1) says so: `[N, *size, C]`."""
    resized = jax.image.resize(images, (images.shape[0], *size, images.shape[3]), "linear", antialias=True)
    return jnp.where(mirrored > 0, resized[:, :, ::-1], resized)


def score(logits: Array, average: Average) -> Array:
    """`[N, classes]`, or a map `[N, h, w, classes]` that is averaged over its positions, -> float32 `[N, classes]`."""
    scores = logits.astype(jnp.float32)
    if average == "probabilities":
        scores = jax.nn.softmax(scores)
    return jnp.mean(scores, axis=tuple(range(1, scores.ndim - 1)))


def as_logits(scores: Array, average: Average) -> Array:
    """Logits whose softmax is the averaged probabilities; averaged logits as they are."""
    return jnp.log(jnp.maximum(scores, TINY)) if average == "probabilities" else scores
