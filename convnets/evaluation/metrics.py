"""Metrics of classes: top-k accuracy, and what follows from the confusion matrix of pixels.

The metrics of semantic segmentation are those of Long, Shelhamer and Darrell (CVPR 2015, section 5), of the confusion
matrix n of all pixels of a split: n_ij pixels of class i are predicted to be of class j, and t_i = sum_j n_ij are of
class i. Most pixels lie within objects and say little of how well these are outlined; so the metrics are taken near
boundaries as well (Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs",
ICLR 2015, section 5.2; the bands are called trimaps there).
"""

import itertools
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

WIDTHS = (1, 2, 4, 8, 16)
"""The distances, in pixels, up to which pixels belong to the bands; each is twice the one before."""


def top_k_correct(logits: Array, labels: Array, k: int) -> Array:
    """Whether the true class is among the k with the highest logits: float32 `[N]` of 0 and 1.

    Of equal logits the lower class counts as the higher one, as in a stable sort, so that a constant network is
    right at the rate of chance and not always. A network whose logits are not numbers is never right.

    Args:
      logits: `[N, C]`.
      labels: int `[N]`.
    """
    true = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    classes = jnp.arange(logits.shape[-1])
    ahead = (logits > true) | ((logits == true) & (classes < labels[:, None]))
    rank = jnp.sum(ahead, axis=-1)
    numbers = jnp.isfinite(true[:, 0]) & ~jnp.isnan(logits).any(axis=-1)
    return ((rank < k) & numbers).astype(jnp.float32)


def confusion_matrix(truth: Array, predicted: Array, classes: int) -> Array:
    """Counts of pixels, int32 `[classes, classes]`: rows are the true classes, columns the predicted ones.

    Exact up to 2^31 pixels of a kind. Pixels whose truth is no class (as `IGNORED`) are left out.

    Args:
      truth, predicted: int, of one shape.
    """
    return confusion_matrices(truth, predicted, jnp.zeros(truth.shape, jnp.int32), classes, 1)[0]


def confusion_matrices(truth: Array, predicted: Array, kinds: Array, classes: int, count: int) -> Array:
    """A confusion matrix for each kind of pixels, int32 `[count, classes, classes]`.

    Args:
      kinds: int in [0, count), of the shape of the others.
    """
    counted = (truth >= 0) & (truth < classes)
    # Those that don't count go to a kind of their own.
    rows = jnp.where(counted, kinds * classes + truth, count * classes)
    counts = jnp.zeros((count * classes + 1) * classes, jnp.int32).at[(rows * classes + predicted).ravel()].add(1)
    return counts[: count * classes * classes].reshape(count, classes, classes)


@dataclass(frozen=True)
class Measures:
    """Of a confusion matrix, all in [0, 1].

    A class counts in a mean only where it can be measured: in the mean accuracy if there are pixels of it, in the mean
    IU if there are, or were predicted to be. Without any labelled pixel all measures are 0.

    Attributes:
      pixel_accuracy: sum_i n_ii / sum_i t_i.
      mean_accuracy: the mean over classes of n_ii / t_i.
      mean_iu: the mean over classes of `class_iu`.
      frequency_weighted_iu: the mean of `class_iu`, each weighted by t_i.
      class_iu: n_ii / (t_i + sum_j n_ji - n_ii), float64 `[C]`; NaN for a class that is neither there nor predicted.
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iu: float
    frequency_weighted_iu: float
    class_iu: np.ndarray


def measures(confusion: np.ndarray) -> Measures:
    """The measures of counts `[C, C]`."""
    counts = np.asarray(confusion, np.float64)
    right, true, predicted = np.diagonal(counts), counts.sum(1), counts.sum(0)
    union = true + predicted - right
    accuracy = np.divide(right, true, out=np.full(len(true), np.nan), where=true > 0)
    class_iu = np.divide(right, union, out=np.full(len(true), np.nan), where=union > 0)
    if not true.any():
        return Measures(0.0, 0.0, 0.0, 0.0, class_iu)
    return Measures(
        float(right.sum() / true.sum()),
        float(np.nanmean(accuracy)),
        float(np.nanmean(class_iu)),
        float(np.nansum(true * class_iu) / true.sum()),
        class_iu,
    )


def boundary_bands(mask: Array, extent: Array | None = None) -> Array:
    """The band of each pixel, int32 `[N, H, W]`: i within `WIDTHS[i]` pixels and no fewer, `len(WIDTHS)` beyond all.

    A pixel's distance is that to the nearest one of another value, the larger of that down and that across: 1 on
    both sides of a boundary. Pixels without a label are a value of their own.

    Args:
      mask: int `[N, H, W]`.
      extent: height and width of the part of each mask that is no filling, int `[N, 2]`; None: all of it.
    """
    own = jnp.ones(mask.shape, bool)
    if extent is not None:
        rows, columns = (jnp.arange(side) < extent[:, axis, None] for axis, side in enumerate(mask.shape[1:]))
        own = rows[:, :, None] & columns[:, None, :]
    band = jnp.zeros(mask.shape, bool)
    for down, across in itertools.product((-1, 0, 1), repeat=2):
        band |= (_shifted(mask, down, across) != mask) & _shifted(own, down, across) & own
    bands = jnp.where(band, 0, len(WIDTHS))
    for number, width in enumerate(WIDTHS[1:], 1):
        # As wide as a band is, it leaves no gap when it is moved by half the next one's width.
        step = width // 2
        band |= _shifted(band, step, 0) | _shifted(band, -step, 0)
        band |= _shifted(band, 0, step) | _shifted(band, 0, -step)
        bands = jnp.where(band & (bands == len(WIDTHS)), number, bands)
    return bands


def _shifted(x: Array, down: int, across: int) -> Array:
    """`[N, H, W]` moved by so many pixels, up and to the left where a number is negative; what comes in is zero."""
    _, height, width = x.shape
    around = (0, 0), (max(down, 0), max(-down, 0)), (max(across, 0), max(-across, 0))
    return jnp.pad(x, around)[:, max(-down, 0) :, max(-across, 0) :][:, :height, :width]
