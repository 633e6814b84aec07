"""How well a box is placed: intersection over union, its generalization, and the share of points that are found.

A box is (y0, x0, y1, x1), from its upper left corner to its lower right one, in pixels or any other unit. One whose
corners are in another order (inverted) or that has no area (empty) holds nothing: its intersection over union is 0 with
every box, itself included. Of finite boxes neither a value nor a gradient is ever NaN. All functions work on the last
axis and broadcast over the others.

Boxes that several windows of an image say are merged to one for each class as in Sermanet et al., "OverFeat: Integrated
Recognition, Localization and Detection using Convolutional Networks", ICLR 2014, section 4.3. For each of the likeliest
classes the two boxes that match best are replaced by their mean, again and again, until no two match well enough; the
scores of the windows of the merged boxes are added up, and the box of the largest sum is the answer. Two boxes match by
the distance of their centres and the area that they share. The paper adds the two and merges the pair of the smallest
sum first; so what counts here is the share that is not common:

    match score = distance of the centres / mean diagonal + 1 - intersection over union

It is 0 for equal boxes, and 1 or more for boxes that lie apart.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

SMALLEST = 1e-12
"""The area below which a box counts as one of that area, so that no gradient overflows."""

LIKELIEST = 5
"""Classes whose boxes are merged; of any other the likeliest window's box is taken."""


def area(boxes: Array) -> Array:
    """The area of `boxes [..., 4]`; 0 of empty and inverted ones."""
    y0, x0, y1, x1 = jnp.moveaxis(boxes, -1, 0)
    return jnp.maximum(y1 - y0, 0) * jnp.maximum(x1 - x0, 0)


class Overlap(NamedTuple):
    """Areas `[...]` of two boxes: of what they share, of what either covers, and of the smallest box around both."""

    intersection: Array
    union: Array
    around: Array


def overlap(one: Array, other: Array) -> Overlap:
    """Of boxes `[..., 4]`. The box around both holds the corners of empty and inverted boxes too."""
    upper, lower = jnp.maximum(one[..., :2], other[..., :2]), jnp.minimum(one[..., 2:], other[..., 2:])
    shared = area(jnp.concatenate([upper, lower], axis=-1))
    # Two inverted boxes may seem to overlap where neither holds anything.
    shared = jnp.where((area(one) > 0) & (area(other) > 0), shared, 0)
    (low, high), (other_low, other_high) = _extremes(one), _extremes(other)
    around = jnp.prod(jnp.maximum(high, other_high) - jnp.minimum(low, other_low), axis=-1)
    return Overlap(shared, area(one) + area(other) - shared, around)


def _extremes(boxes: Array) -> tuple[Array, Array]:
    """The smallest and the largest y and x of boxes `[..., 4]`, `[..., 2]` each."""
    return jnp.minimum(boxes[..., :2], boxes[..., 2:]), jnp.maximum(boxes[..., :2], boxes[..., 2:])


def iou(one: Array, other: Array) -> Array:
    """Intersection over union of boxes `[..., 4]`, in [0, 1]."""
    found = overlap(one, other)
    return found.intersection / jnp.maximum(found.union, SMALLEST)


def generalized_iou(one: Array, other: Array) -> Array:
    """GIoU of boxes `[..., 4]`, in [-1, 1] (Rezatofighi et al., CVPR 2019, algorithm 1).

    The intersection over union, less the share that neither covers of the smallest box around both: so boxes that lie
    apart are told how far.
    """
    found = overlap(one, other)
    uncovered = (found.around - found.union) / jnp.maximum(found.around, SMALLEST)
    return found.intersection / jnp.maximum(found.union, SMALLEST) - jnp.maximum(uncovered, 0)


def centres(boxes: Array) -> Array:
    """The middles (y, x) of boxes `[..., 4]`, `[..., 2]`."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def correct_points(predicted: Array, true: Array, sizes: Array, share: float = 0.2) -> Array:
    """Whether points `[..., 2]` lie within a share of a size `[...]` of the true ones, float32 `[...]` of 0 and 1.

    Their mean is PCK, the percentage of correct keypoints (Yang and Ramanan, PAMI 2013, section 7.1): there the size is
    the larger side of the box around a person, and the share 0.1 or 0.2. Without a size no point is right.
    """
    distance = jnp.linalg.norm(predicted - true, axis=-1)
    return ((distance <= share * sizes) & (sizes > 0)).astype(jnp.float32)


def match_scores(one: Array, other: Array) -> Array:
    """Of boxes `[..., 4]`, in [0, ...); smaller is better. Boxes without area match none (1 and more)."""
    apart = jnp.linalg.norm(centres(one) - centres(other), axis=-1)
    diagonals = (jnp.linalg.norm(one[..., 2:] - one[..., :2], axis=-1)) + jnp.linalg.norm(
        other[..., 2:] - other[..., :2], axis=-1
    )
    return apart / jnp.maximum(diagonals / 2, 1e-6) + 1 - iou(one, other)


def merge(boxes: Array, scores: Array, limit: float) -> tuple[Array, Array]:
    """Merges the two that match best while their match score is below the limit.

    Args:
      boxes: `[M, 4]`.
      scores: of their class, `[M]`, not negative.

    Returns:
      Boxes `[M, 4]` and the sums of the scores that were merged into each, `[M]`; 0 of one that was merged away.
    """
    count = len(boxes)
    places = jnp.arange(count)
    itself = places[:, None] == places
    pairs = jnp.where(itself, jnp.inf, match_scores(boxes[:, None], boxes[None]))

    def again(state: Any) -> Array:
        return state[2].min() < limit

    def once(state: Any) -> Any:
        boxes, scores, pairs = state
        kept, gone = jnp.divmod(jnp.argmin(pairs), count)
        merged = (boxes[kept] + boxes[gone]) / 2
        # Infinite where there is no box any more, and for the box itself.
        left = jnp.isfinite(pairs[kept]) & (places != gone)
        row = jnp.where(left, match_scores(merged, boxes), jnp.inf)
        pairs = pairs.at[kept].set(row).at[:, kept].set(row).at[gone].set(jnp.inf).at[:, gone].set(jnp.inf)
        scores = scores.at[kept].add(scores[gone]).at[gone].set(0)
        return boxes.at[kept].set(merged), scores, pairs

    boxes, scores, _ = lax.while_loop(again, once, (boxes, scores, pairs))
    return boxes, scores


def merged_answer(probabilities: Array, boxes: Array, limit: float) -> tuple[Array, Array]:
    """What the windows of an image say together.

    Args:
      probabilities: of the classes in each window, `[M, C]`.
      boxes: of each window in the image, `[M, B, 4]`; B is 1 or C.
      limit: of the match score up to which boxes are merged; 0: none are.

    Returns:
      A score of each class, `[C]`: the mean over all windows of what those of its best box said; and these boxes,
      `[C, 4]`. For one window, what it said.
    """
    count, classes = probabilities.shape
    of_class = jnp.broadcast_to(boxes, (count, classes, 4))
    peaks, best = probabilities.max(0), probabilities.argmax(0)
    scores, answer = peaks, jnp.take_along_axis(of_class, best[None, :, None], axis=0)[0]
    _, chosen = lax.top_k(peaks, min(LIKELIEST, classes))

    def of(label: Array) -> tuple[Array, Array]:
        found, sums = merge(of_class[:, label], probabilities[:, label], limit)
        return sums.max(), found[sums.argmax()]

    merged_scores, merged_boxes = jax.vmap(of)(chosen)
    return scores.at[chosen].set(merged_scores) / count, answer.at[chosen].set(merged_boxes)
