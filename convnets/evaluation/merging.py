"""Boxes that several windows of an image say, merged to one for each class (Sermanet et al., "OverFeat: Integrated
Recognition, Localization and Detection using Convolutional Networks", ICLR 2014, section 4.3).

For each of the likeliest classes the two boxes that match best are replaced by their mean, again and again, until no
two match well enough; what the windows of the merged boxes said of the class is added up, and the box of the largest
sum is the answer. Two boxes match by the distance of their centres and the area that they share. The paper adds the two
and merges the pair of the smallest sum first; so what counts here is the share that is not common:

    match score = distance of the centres / mean diagonal + 1 - intersection over union

It is 0 of equal boxes, and 1 and more of boxes that lie apart.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.evaluation.boxes import centres, iou

LIKELIEST = 5
"""Classes whose boxes are merged; of any other the likeliest window's box is taken."""


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
