"""What is counted of pixels, and the measures of semantic segmentation that follow from the counts.

The measures are those of Long, Shelhamer and Darrell (CVPR 2015, section 5), of the confusion matrix n of all pixels
of a split: n_ij pixels of class i are predicted to be of class j, and t_i = sum_j n_ij are of class i.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array


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
