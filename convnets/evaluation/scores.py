"""Scores of views of images, and what they are averaged to."""

import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.evaluation.views import Size

Average = Literal["probabilities", "logits"]
AVERAGES: tuple[Average, ...] = ("probabilities", "logits")
"""What is averaged over views and networks: softmax probabilities (Krizhevsky et al. 2012), or logits."""


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
    """The scores of a view: log-probabilities or logits, float32 `[N, classes]`; their softmax is the prediction.

    Args:
      logits: `[N, classes]`, or a map `[N, h, w, classes]` that is averaged over its positions.
    """
    scores = logits.astype(jnp.float32)
    positions = tuple(range(1, scores.ndim - 1))
    if average == "logits":
        return jnp.mean(scores, axis=positions)
    scores = jax.nn.log_softmax(scores)
    count = math.prod(scores.shape[axis] for axis in positions)
    return jax.nn.logsumexp(scores, axis=positions) - math.log(count) if positions else scores


def nothing(average: Average) -> float:
    """What scores are added to first."""
    return 0.0 if average == "logits" else -math.inf


def add(total: Array, scores: Array, share: Array, average: Average) -> Array:
    """The total with a share of some scores: of probabilities by their logarithms, which keep the order of all."""
    return total + share * scores if average == "logits" else jnp.logaddexp(total, jnp.log(share) + scores)


def mean(scores: Sequence[np.ndarray], average: Average) -> np.ndarray:
    """The mean of arrays of scores `[N, classes]`, float32; of one, itself."""
    if len(scores) == 1:
        return scores[0]
    stacked = np.stack(scores).astype(np.float64)
    if average == "logits":
        return stacked.mean(axis=0).astype(np.float32)
    return (np.logaddexp.reduce(stacked, axis=0) - math.log(len(scores))).astype(np.float32)
