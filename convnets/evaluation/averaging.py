"""Scores of classes averaged over the views of an image, over overlapping windows, and over networks.

What is averaged are softmax probabilities (Krizhevsky et al. 2012) or logits. Probabilities are kept as their
logarithms, which keep the order of all classes.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.errors import InvalidValue
from convnets.evaluation.views import Seen, Views, resample

Average = Literal["probabilities", "logits"]
AVERAGES: tuple[Average, ...] = ("probabilities", "logits")


class _Averaging:
    def __init__(self, average: Average):
        self.average = average

    def add(self, total: Array, more: Array) -> Array:
        """The sum of weighted scores."""
        return total + more if self.average == "logits" else jnp.logaddexp(total, more)

    def outputs(self, said: Sequence[Array]) -> Any:
        """The averaged scores in the place of logits."""
        [total] = said
        return total, {}

    def _weighted(self, scores: Array, share: Array) -> Array:
        return share * scores if self.average == "logits" else jnp.log(share) + scores


class AverageScores(_Averaging):
    """Averages the scores of an image's class; a map of logits counts by the mean over its positions.

    A `tasks.task.ScoreMerger`.
    """

    def check(self, views: Views, whole: bool) -> None:
        """Any views will do."""

    def look(self, outputs: Any, seen: Seen) -> Array:
        """The weighted scores of a view: log-probabilities or logits, float32 `[N, classes]`."""
        return self._weighted(image_scores(outputs[0], self.average), seen.share)

    def scores(self, said: Sequence[Array]) -> Array:
        """The averaged scores themselves."""
        [total] = said
        return total


class AveragePixelScores(_Averaging):
    """Averages the scores of each pixel over views of whole images. A `tasks.task.WindowMerger`.

    An image may lie in a larger array, at its upper left. What is around it counts for nothing: it is scaled as if it
    were alone, and the scores of its pixels are brought back in the same way.
    """

    def check(self, views: Views, whole: bool) -> None:
        """Refuses views of parts of images."""
        if not whole:
            raise InvalidValue(
                "averages over parts of images, and the task predicts every pixel: use 'centre_crop' for images as "
                "they are served (data.evaluation_size no larger than data.size), 'whole_image' or 'whole_and_mirrored'"
            )

    def look(self, outputs: Any, seen: Seen) -> Array:
        """The weighted scores of every pixel by a view: log-probabilities or logits, float32 `[N, H, W, classes]`."""
        scores = pixel_scores(
            outputs[0], seen.image, seen.view_extents, seen.extents, seen.mirrored, average=self.average
        )
        return self._weighted(scores, seen.share)

    def window_scores(self, outputs: Any) -> Array:
        """Probabilities or logits of a window's pixels, float32 `[N, h, w, classes]`."""
        scores: Array = outputs[0].astype(jnp.float32)
        return jax.nn.softmax(scores) if self.average == "probabilities" else scores

    def of_mean(self, mean: Array) -> Array:
        """The mean of such scores, in the place of logits."""
        return jnp.log(mean) if self.average == "probabilities" else mean


def image_scores(logits: Array, average: Average) -> Array:
    """The scores of an image: log-probabilities or logits, float32 `[N, classes]`; their softmax is the prediction.

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


def pixel_scores(
    logits: Array, image: tuple[int, int], extents: Array, wanted: Array, mirrored: Array, *, average: Average
) -> Array:
    """The scores of every pixel of images by a view: log-probabilities or logits, float32 `[N, *image, classes]`.

    Args:
      logits: of the view's pixels, `[N, h, w, classes]`.
      image: the size of the arrays that the images lie in.
      extents: of the images in the view, int `[N, 2]`.
      wanted: of the images themselves, int `[N, 2]`.
      mirrored: whether the view is a mirror image, 0 or 1.
    """
    values = logits.astype(jnp.float32)
    if average == "probabilities":
        return jnp.log(resample(jax.nn.softmax(values), image, extents, wanted, mirrored))
    return resample(values, image, extents, wanted, mirrored)


def mean(scores: Sequence[np.ndarray], average: Average) -> np.ndarray:
    """The mean of arrays of scores `[N, classes]`, float32; of one, itself."""
    if len(scores) == 1:
        return scores[0]
    stacked = np.stack(scores).astype(np.float64)
    if average == "logits":
        return stacked.mean(axis=0).astype(np.float32)
    return (np.logaddexp.reduce(stacked, axis=0) - math.log(len(scores))).astype(np.float32)
