"""The measures of localization: how many classes are right, how well boxes lie, and both at once.

ILSVRC's localization error (Russakovsky et al., IJCV 2015, section 4.2): each guess is a class with a box, and is right
if the class is the image's and the box and one of that class's true ones have an intersection over union of at least a
half; the error of five guesses counts an image as wrong if none of them is. Predicted boxes are clipped to the image.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.evaluation.boxes import area, centres, correct_points, generalized_iou, iou
from convnets.evaluation.metrics import top_k_correct
from convnets.tasks.localization.truth import Truth, likeliest, of_classes
from convnets.tasks.task import Placement

ENOUGH = 0.5
"""The intersection over union from which on a box counts as found."""
GUESSES = 5
BINS = 100
"""Of the table of intersections over union."""
PERCENT = 0.2
"""PCK: how far the centre of a box may lie off, as a share of its larger side."""


def within_image(boxes: Array) -> Array:
    """Boxes `[..., 4]` clipped to the image, which is 1 high and 1 wide; of an inverted one an empty one is left."""
    boxes = jnp.clip(boxes, 0, 1)
    return jnp.concatenate([boxes[..., :2], jnp.maximum(boxes[..., :2], boxes[..., 2:])], axis=-1)


def in_picture(boxes: np.ndarray, placement: Placement) -> np.ndarray:
    """Boxes `[..., 4]` in the image that the network was shown, 1 high and 1 wide, in pixels of the whole picture."""
    part, padding = placement.part, placement.padding
    shown = np.array(placement.shown * 2)
    scale = np.array([part.height, part.width] * 2) / (shown - 2 * padding)
    pixels = np.array([part.top, part.left] * 2) + (boxes * shown - padding) * scale
    clipped: np.ndarray = pixels.clip(0, np.array(placement.size * 2))
    return clipped


def sums(logits: Array, boxes: Array, truth: Truth, weight: Array) -> dict[str, Array]:
    """Weighted sums over a batch, from which `metrics` follow; those that have `[K]` are of each object.

    Args:
      logits: `[N, K, C]`.
      boxes: predicted, `[N, K, B, 4]`, B being 1 or the number of classes; the image is 1 high and 1 wide.
      weight: `[N]`.
    """
    boxes = within_image(boxes)
    has_class, has_box = truth.has_class * weight[:, None], truth.has_box * weight[:, None]
    own = of_classes(boxes, truth.labels[..., None])
    overlaps, generalized = (_best(measure, own, truth)[..., 0] for measure in (iou, generalized_iou))
    guesses, _ = likeliest(logits, min(GUESSES, logits.shape[-1]))
    right = (guesses == truth.labels[..., None]) & (_best(iou, of_classes(boxes, guesses), truth) >= ENOUGH)
    pixels = jnp.array(truth.size * 2, jnp.float32)
    true = truth.boxes * pixels
    predicted = own[..., 0, :] * pixels
    points = correct_points(centres(predicted), centres(true), (true[..., 2:] - true[..., :2]).max(-1), PERCENT)
    flat, labels = logits.reshape(-1, logits.shape[-1]), truth.labels.reshape(-1)
    correct = {k: top_k_correct(flat, labels, k).reshape(has_class.shape) for k in (1, GUESSES)}
    bins = jnp.clip(jnp.floor(overlaps * BINS), 0, BINS - 1).astype(jnp.int32)
    return {
        "counted_classes": jnp.sum(has_class),
        "counted_boxes": jnp.sum(has_box, axis=0),
        "top1": jnp.sum(has_class * correct[1]),
        "top5": jnp.sum(has_class * correct[GUESSES]),
        "iou": jnp.sum(has_box * overlaps, axis=0),
        "giou": jnp.sum(has_box * generalized),
        "found": jnp.sum(has_box * (overlaps >= ENOUGH)),
        "right_of_one": jnp.sum(has_box * right[..., 0]),
        "right_of_five": jnp.sum(has_box * right.any(-1)),
        "points": jnp.sum(has_box * points),
        "iou_counts": jnp.zeros(BINS, jnp.float32).at[bins].add(has_box),
    }


def _best(measure: Callable[[Array, Array], Array], boxes: Array, truth: Truth) -> Array:
    """Of boxes `[N, K, G, 4]` with the one of the true ones that fits best, `[N, K, G]`; -1 where there is none."""
    others = truth.others[:, :, None]
    return jnp.where(area(others) > 0, measure(boxes[..., None, :], others), -1).max(-1)


def metrics(found: Mapping[str, np.ndarray], per_class: bool) -> dict[str, float]:
    """What the sums say, all in [0, 1] but for `mean_giou`, in [-1, 1].

    `mean_iou`, `mean_giou`, `found`, `pck` and `pcr_error` (with `per_class`; else `scr_error`) are of the box that
    goes with the true class. The last is the localization error with the class given, by which Simonyan and Zisserman
    (appendix A) compare per-class regression with single-class regression. `mean_iou_k` is of object k where there are
    several. Without any box the measures of boxes are 0, and errors 1.
    """
    boxes = np.atleast_1d(np.asarray(found["counted_boxes"], np.float64))
    ious = np.atleast_1d(np.asarray(found["iou"], np.float64))
    total, classes = max(boxes.sum(), 1.0), max(float(found["counted_classes"]), 1.0)
    found_boxes = float(found["found"] / total)
    result = {
        "top1": float(found["top1"] / classes),
        "top5": float(found["top5"] / classes),
        "mean_iou": float(ious.sum() / total),
        "mean_giou": float(found["giou"] / total),
        "found": found_boxes,
        "localization_error_top1": 1 - float(found["right_of_one"] / total),
        "localization_error_top5": 1 - float(found["right_of_five"] / total),
        error_name(per_class): 1 - found_boxes,
        "pck": float(found["points"] / total),
    }
    if len(boxes) > 1:
        result |= {f"mean_iou_{k}": float(ious[k - 1] / max(boxes[k - 1], 1.0)) for k in range(1, len(boxes) + 1)}
    return result


def names(per_class: bool, objects: int) -> dict[str, bool]:
    """The names of the metrics, each with whether a higher value is better."""
    single = ("counted_classes", "top1", "top5", "giou", "found", "right_of_one", "right_of_five", "points")
    nothing = {name: np.zeros(()) for name in single} | {name: np.zeros(objects) for name in ("counted_boxes", "iou")}
    return {name: "error" not in name for name in metrics(nothing, per_class)}


def error_name(per_class: bool) -> str:
    """VGG's name of the error of boxes with the class given."""
    return "pcr_error" if per_class else "scr_error"
