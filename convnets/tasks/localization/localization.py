"""Classification and localization as a task: a class of the image and a box around what is of it.

Lecture: "Classification + Localization". K objects are K boxes with K classes, of a fixed meaning each or in any order.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from convnets import models
from convnets.data.source import Source, SourceInfo
from convnets.errors import InvalidValue
from convnets.evaluation.averaging import Average
from convnets.evaluation.boxes import iou
from convnets.evaluation.evaluator import Metrics, Sums, Tables
from convnets.models.localizer import BOXES, Attach, LocalizationNetwork, head_place
from convnets.tasks.classification import one_window
from convnets.tasks.localization import measures
from convnets.tasks.localization.losses import BoxLoss, Coordinates, box_loss, decode, encode
from convnets.tasks.localization.merging import MergeBoxes
from convnets.tasks.localization.truth import Truth, cheapest, likeliest, of_classes, truth_of
from convnets.tasks.task import Batch, Outputs, Placement, Predictions, Task, check_weights, tasks

Regression = Literal["agnostic", "per_class"]
"""One box of an object, or one for each class."""

Order = Literal["fixed", "free"]
"""Of several objects: each has its place, or they are matched to the truth by the cheapest assignment."""

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""The intersections over union of the table."""

SHOWN = 24
"""Examples on the sheet of the report."""


class Localization(Task):
    """A class and a box for each of K objects.

    Args:
      info: of the source; its examples have boxes of at least two classes.
      regression: "agnostic" (4 numbers of each object) or "per_class" (4 of each class).
      attach: where the head of boxes stands, after the last "convolution" or behind the "fully_connected" layers.
      hidden: neurons of a layer of its own; 0: none.
      objects: K.
      order: whether places have a meaning; see `Order`.
      coordinates: what is regressed; see `coordinates`.
      loss: of a box, "l2", "smooth_l1" or "iou" (one minus GIoU).
      box_weight: of the loss of boxes beside that of classes.
      merging: boxes of several windows are merged up to this match score (`evaluation.boxes`); 0: none are.
      auxiliary_weight: of the loss of each auxiliary classifier that the network has in training (GoogLeNet).
    """

    primary = "localization_error_top1"
    progress = "mean_iou"

    def __init__(
        self,
        info: SourceInfo,
        *,
        regression: Regression = "agnostic",
        attach: Attach = "convolution",
        hidden: int = 256,
        objects: int = 1,
        order: Order = "fixed",
        coordinates: Coordinates = "corner",
        loss: BoxLoss = "l2",
        box_weight: float = 10.0,
        merging: float = 0.5,
        auxiliary_weight: float = 0.3,
    ):
        _check_data(info, objects)
        if order == "free" and objects == 1:
            raise InvalidValue("task.order is of several objects, and task.objects is 1: leave it at 'fixed'")
        if hidden < 0:
            raise InvalidValue(f"task.hidden is {hidden}, and must not be negative")
        check_weights(box_weight=box_weight, merging=merging, auxiliary_weight=auxiliary_weight)
        self.classes, self.channels = info.classes, info.image_shape[-1]
        self.regression, self.attach, self.hidden = regression, attach, hidden
        self.objects, self.order, self.coordinates = objects, order, coordinates
        self.box_loss, self.box_weight, self.merging = loss, box_weight, merging
        self.auxiliary_weight = auxiliary_weight
        self.metrics: Mapping[str, bool] = {"loss": False} | measures.names(regression == "per_class", objects)

    def network(self, name: str, options: Mapping[str, Any]) -> nn.Module:
        """The architecture with the head of boxes beside its classifier; of K objects that has K times the logits."""
        backbone = models.create(name, self.objects * len(self.classes), **options)
        place, window = head_place(backbone, self.channels, self.attach)
        boxes = len(self.classes) if self.regression == "per_class" else 1
        middle = encode(jnp.array([0.25, 0.25, 0.75, 0.75]), self.coordinates).tolist()
        return LocalizationNetwork(backbone, place, window, self.objects, boxes, self.hidden, tuple(middle))

    def answers(self, outputs: Outputs) -> tuple[Array, Array]:
        """Logits `[..., K, C]`, and boxes `[..., K, B, 4]` in windows; of a map with its positions in front."""
        return self._by_object(outputs[0]), decode(outputs[1][BOXES], self.coordinates)

    def outputs_of(self, logits: Array, boxes: Array) -> Outputs:
        """What a network would return for such answers, `[N, K, C]` and `[N, K, B, 4]`."""
        return logits.reshape(len(logits), -1), {BOXES: encode(boxes, self.coordinates)}

    def _by_object(self, logits: Array) -> Array:
        return logits.reshape(*logits.shape[:-1], self.objects, len(self.classes))

    def loss(self, outputs: Outputs, batch: Batch, *, train: bool) -> tuple[Array, dict[str, Array]]:
        """Cross-entropy in nats plus the weighted loss of boxes, each the mean over the objects that count, `[N]`.

        Of a head with a box for each class, that of the true class learns. What augmentation moved out of an image
        counts as `truth` says. Auxiliary logits add their weighted cross-entropy. The sums are of the loss without
        theirs, and those of `measures.sums`.
        """
        truth = self._matched(outputs, batch)
        losses = self._losses(outputs, truth)
        logits, boxes = self.answers(outputs)
        weight = batch["weight"]
        sums = measures.sums(logits, boxes, truth, weight) | {"loss": jnp.sum(weight * losses)}
        auxiliary = [logits for name, logits in outputs[1].items() if name.startswith("auxiliary")]
        more = [self._class_loss(self._by_object(one_window((logits, {}))), truth) for logits in auxiliary]
        return losses + self.auxiliary_weight * sum(more), sums

    def _losses(self, outputs: Outputs, truth: Truth) -> Array:
        numbers = of_classes(outputs[1][BOXES], truth.labels[..., None])[..., 0, :]
        boxes = box_loss(numbers, truth.boxes, self.box_loss, self.coordinates)
        of_boxes = jnp.sum(truth.has_box * boxes, axis=1) / jnp.maximum(truth.has_box.sum(1), 1)
        return self._class_loss(self._by_object(one_window(outputs)), truth) + self.box_weight * of_boxes

    def _class_loss(self, logits: Array, truth: Truth) -> Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, truth.labels)
        return jnp.sum(truth.has_class * losses, axis=1) / jnp.maximum(truth.has_class.sum(1), 1)

    def _matched(self, outputs: Outputs, batch: Mapping[str, Array]) -> Truth:
        """The truth in the order of the answers: its own, or that of the least loss."""
        truth = truth_of(batch, self.objects)
        if self.order == "fixed":
            return truth
        logits, numbers = self._by_object(one_window(outputs))[:, :, None], outputs[1][BOXES]
        # Answer k down, object j across.
        labels = jnp.broadcast_to(truth.labels[:, None], (len(logits), self.objects, self.objects))
        classes = optax.softmax_cross_entropy_with_integer_labels(
            jnp.broadcast_to(logits, (*labels.shape, logits.shape[-1])), labels
        )
        boxes = box_loss(of_classes(numbers, labels), truth.boxes[:, None], self.box_loss, self.coordinates)
        return truth.assigned(
            cheapest(truth.has_class[:, None] * classes + self.box_weight * truth.has_box[:, None] * boxes)
        )

    def summarize(self, sums: Sums) -> Metrics:
        """The mean loss of an example, and `measures.metrics`."""
        return {"loss": float(sums["loss"] / sums["weight"])} | measures.metrics(sums, self.regression == "per_class")

    def tables(self, sums: Sums) -> Tables:
        """The share of the boxes that lie as well as each intersection over union, in [0, 1]."""
        counts = np.asarray(sums["iou_counts"], np.float64)
        total = max(counts.sum(), 1.0)
        return {
            "Boxes by intersection over union": [
                {
                    "IoU of at least": level,
                    "share of the boxes": float(counts[round(level * len(counts)) :].sum() / total),
                }
                for level in LEVELS
            ]
        }

    def decode(self, outputs: Outputs, batch: Batch) -> dict[str, Array]:
        """The five likeliest classes of each object, int32 `[N, K, 5]`, their probabilities, and their boxes.

        Those are float32 `[N, K, 5, 4]` (y0, x0, y1, x1), clipped to the image, which is 1 high and 1 wide.
        """
        one_window(outputs)
        logits, boxes = self.answers(outputs)
        classes, probabilities = likeliest(logits, min(measures.GUESSES, len(self.classes)))
        return {
            "classes": classes,
            "probabilities": probabilities,
            "boxes": measures.within_image(of_classes(boxes, classes)),
        }

    def view_merger(self, network: nn.Module, image_shape: tuple[int, int, int], average: Average) -> MergeBoxes:
        """The boxes of all windows, merged."""
        return MergeBoxes(self, network, image_shape, average)

    def pictures(self, records: Predictions, source: Source, folder: Path) -> list[tuple[str, Path]]:
        """Images with their true and predicted boxes, and how many are found by each intersection over union."""
        from convnets.plots.localization import plot_accuracy_by_iou, plot_localizations

        curve, sheet = folder / "accuracy_by_iou.png", folder / "localizations.png"
        plot_accuracy_by_iou(records["iou_counts"], curve)
        # Spread over the split.
        rows = np.unique(np.linspace(0, len(records["place"]) - 1, SHOWN).astype(int))
        plot_localizations([self._shown(records, row, source) for row in rows], self.classes, sheet)
        return [("How many boxes are found", curve), ("True boxes (green) and predicted ones (red)", sheet)]

    def _shown(self, predictions: Predictions, row: int, source: Source) -> Any:
        from convnets.plots.localization import Shown

        example = source[int(predictions["place"][row])]
        truth = truth_of({name: jnp.asarray(value)[None] for name, value in example.items()}, self.objects)
        boxes = jnp.asarray(predictions["boxes"][row, :, 0])
        if self.order == "free":
            truth = truth.assigned(cheapest(-iou(boxes[None, :, None], truth.boxes[:, None])))
        pixels = np.array(truth.size * 2, np.float32)
        found = iou(boxes[:, None], truth.others[0]).max(-1)
        return Shown(
            image=example["image"],
            labels=np.where(truth.has_class[0] > 0, truth.labels[0], -1),
            guesses=predictions["classes"][row, :, 0],
            probabilities=predictions["probabilities"][row, :, 0],
            true=np.asarray(truth.boxes[0]) * pixels,
            predicted=np.asarray(boxes) * pixels,
            overlaps=np.where(truth.has_box[0] > 0, found, np.nan),
        )

    def in_picture(self, predictions: Predictions, placements: list[Placement]) -> Predictions:
        """Boxes in the pixels of the pictures, clipped to them, and the pictures' height and width as `size [N, 2]`."""
        pairs = zip(predictions["boxes"], placements, strict=True)
        boxes = np.stack([measures.in_picture(boxes, place) for boxes, place in pairs])
        return {**predictions, "boxes": boxes, "size": np.array([place.size for place in placements])}

    drawings: Mapping[str, str] = {"picture": "_boxes.png"}

    def draw(self, picture: np.ndarray, prediction: Predictions, record: Mapping[str, Any]) -> dict[str, bytes]:
        """The picture with the box, class and probability of each object on it."""
        from convnets.plots.localization import boxes_png

        return {"picture": boxes_png(picture, record["objects"])}

    def describe(self, predictions: Predictions) -> list[dict[str, Any]]:
        """For each image `{"objects": [{"class", "label", "probability", "box", "guesses"}, ...]}`.

        The box is [y0, x0, y1, x1], as `predictions` has it; the guesses are the next likeliest classes, each with its
        own box, in the same form. Of predictions `in_picture` the record begins with the picture's height and width.
        """
        parts = (predictions[name] for name in ("classes", "probabilities", "boxes"))
        records: list[dict[str, Any]] = []
        for image in zip(*parts, strict=True):
            objects = [[self._guess(*guess) for guess in zip(*one, strict=True)] for one in zip(*image, strict=True)]
            records.append({"objects": [first | {"guesses": others} for first, *others in objects]})
        if "size" in predictions:
            sizes = predictions["size"].tolist()
            return [{"height": size[0], "width": size[1]} | each for size, each in zip(sizes, records, strict=True)]
        return records

    def _guess(self, label: int, probability: float, box: np.ndarray) -> dict[str, Any]:
        return {
            "class": self.classes[label],
            "label": int(label),
            "probability": float(probability),
            "box": [round(float(edge), 2) for edge in box],
        }

    def columns(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Of each object its class with its probability, and its box in whole pixels."""
        cells = {}
        for number, one in enumerate(record["objects"], 1):
            which = f" {number}" if len(record["objects"]) > 1 else ""
            cells[f"object{which}"] = f"{one['class']} {one['probability']:.1%}"
            cells[f"box{which}"] = " ".join(f"{edge:.0f}" for edge in one["box"])
        return cells


def _check_data(info: SourceInfo, objects: int) -> None:
    """Refuses data without boxes, or with another number of them."""
    if not info.box_counts:
        raise InvalidValue(
            f"the data set {info.name!r} has no boxes, and localization learns them: use one that has, such as scenes"
        )
    if len(info.classes) < 2:
        raise InvalidValue(
            f"the boxes of {info.name!r} are of {len(info.classes)} classes, and localization needs two: name the "
            "class of each box or image"
        )
    if info.variable_size:
        raise InvalidValue("a box is found in images of one size, so data.evaluation_size can't be 0: set it")
    if objects < 1:
        raise InvalidValue(f"task.objects is {objects}, and must be at least 1")
    fewest, most = info.box_counts
    if (objects == 1 and most < 1) or (objects > 1 and (fewest, most) != (objects, objects)):
        has = f"{fewest} boxes" if fewest == most else f"{fewest} to {most} boxes"
        raise InvalidValue(
            f"task.objects is {objects}, and examples of {info.name!r} have {has}: several objects are localized where "
            "each example has exactly so many, and one where any has a box"
        )


tasks.variant("localization", Localization)
