"""Semantic segmentation as a task: the head, the loss and the measures of a class for every pixel."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.core import FrozenDict
from jax import Array

from convnets.analysis.receptive_field import feature_grids
from convnets.data.label_map import IGNORED
from convnets.data.source import Source, SourceInfo
from convnets.errors import InvalidValue
from convnets.evaluation.averaging import Average, AveragePixelScores
from convnets.evaluation.evaluator import Metrics, Sums, Tables
from convnets.evaluation.metrics import WIDTHS, boundary_bands, confusion_matrices, measures
from convnets.models.encoder_decoder import EncoderDecoder
from convnets.models.fcn import FCN, HowUpsampled, check_stride
from convnets.models.registry import create_backbone
from convnets.models.sizes import Output
from convnets.models.upsampling import Grid
from convnets.tasks.cross_entropy import cross_entropy
from convnets.tasks.task import Batch, Outputs, Predictions, Task, check_weights, tasks

Head = Literal["fcn", "encoder_decoder"]


NEAR = 4
"""The distance up to which pixels are near a boundary, one of `WIDTHS`."""

SHOWN = 12
"""Examples on the sheet of the report."""

COMPARED = 6
"""Examples on the sheet of several runs, spread over those whose predictions all runs keep."""

SHARES = 4
"""Classes in the table of predictions."""


class Segmentation(Task):
    """A class for every pixel.

    Args:
      info: of the source; the classes of its masks, at least two, are told apart.
      head: "fcn" (Long et al. 2015) or "encoder_decoder".
      stride: of the FCN: 32, 16 or 8 for FCN-32s, 16s and 8s.
      upsampling: of the FCN; see `HowUpsampled`.
      skips: whether the decoder sees the encoder's maps (U-Net).
      class_weights: what a pixel of each class counts in the loss; () stands for 1 of all.
      auxiliary_weight: of the loss of each auxiliary classifier that the network has in training (GoogLeNet).
    """

    metrics: Mapping[str, bool] = {
        "loss": False,
        "pixel_accuracy": True,
        "mean_accuracy": True,
        "mean_iu": True,
        "frequency_weighted_iu": True,
        "boundary_mean_iu": True,
    }
    primary = "mean_iu"
    progress = "mean_iu"
    sample: int | None = 48

    def __init__(
        self,
        info: SourceInfo,
        *,
        head: Head = "fcn",
        stride: int = 8,
        upsampling: HowUpsampled = "learned",
        skips: bool = True,
        class_weights: tuple[float, ...] = (),
        auxiliary_weight: float = 0.3,
    ):
        if len(info.mask_classes) < 2:
            raise InvalidValue(
                f"the data set {info.name!r} names {len(info.mask_classes)} classes of masks, and segmentation needs "
                "two: use one that has masks, such as scenes, or name them in data.mask_classes"
            )
        if len(info.mask_classes) > IGNORED:
            raise InvalidValue(
                f"the masks of {info.name!r} have {len(info.mask_classes)} classes, and may have {IGNORED}"
            )
        if class_weights and len(class_weights) != len(info.mask_classes):
            raise InvalidValue(
                f"task.class_weights has {len(class_weights)} numbers, and the masks of {info.name!r} have "
                f"{len(info.mask_classes)} classes: give one for each, or none"
            )
        if not all(0 <= weight < math.inf for weight in class_weights) or (class_weights and not any(class_weights)):
            raise InvalidValue(f"task.class_weights are {tuple(class_weights)}, and must not be negative, nor all zero")
        check_weights(auxiliary_weight=auxiliary_weight)
        if head == "fcn" and not skips:
            raise InvalidValue("task.skips is of the encoder_decoder: an FCN of task.stride 32 has none")
        if head == "encoder_decoder" and (stride, upsampling) != (8, "learned"):
            raise InvalidValue(
                "task.stride and task.upsampling are of the fcn, and an encoder_decoder goes to every pixel by learned "
                "transposed convolutions: leave them at 8 and 'learned'"
            )
        self.classes, self.channels = info.mask_classes, info.image_shape[-1]
        self.head, self.stride, self.upsampling, self.skips = head, stride, upsampling, skips
        self.class_weights = tuple(class_weights) or (1.0,) * len(self.classes)
        self.auxiliary_weight = auxiliary_weight

    def network(self, name: str, options: Mapping[str, Any]) -> nn.Module:
        """The architecture as a backbone, with the head on it.

        Raises:
          InvalidValue: an architecture that is no backbone, or a stride that it does not have.
        """
        count = len(self.classes)
        output: Output = "features" if self.head == "encoder_decoder" else "map"
        backbone = create_backbone(name, count, output=output, **options)
        side: int = backbone.image_size
        grids: FrozenDict[str, Grid] = FrozenDict(feature_grids(backbone, (side, side, self.channels)))
        if self.head == "encoder_decoder":
            return EncoderDecoder(backbone, count, grids, self.skips, options.get("norm"))
        check_stride(name, self.stride, grids)
        return FCN(backbone, count, grids, self.stride, self.upsampling)

    def loss(self, outputs: Outputs, batch: Batch, *, train: bool) -> tuple[Array, dict[str, Array]]:
        """Softmax cross-entropy in nats, the mean over the labelled pixels of each example, float32 `[N]`.

        Pixels count by the weights of their classes; an example without labelled pixels has the loss 0. That of
        auxiliary scores is added weighted. The sums are of the labelled pixels: cross-entropy, their number, and the
        confusion matrix of each band around the boundaries of the truth, int32 `[bands, C, C]`; the last band has all
        pixels that are in no other. In training there is one band of all.
        """
        logits, maps = outputs
        heads = [logits, *(scores for name, scores in maps.items() if name.startswith("auxiliary"))]
        weights = jnp.append(jnp.array(self.class_weights, jnp.float32), 0.0)[self._known(batch["mask"])]
        # Where all weights are zero their sum is no divisor.
        share = weights / jnp.maximum(weights.sum((1, 2), keepdims=True), jnp.finfo(jnp.float32).tiny)
        losses = [jnp.sum(share * cross_entropy(scores, batch["mask"]), axis=(1, 2)) for scores in heads]
        return losses[0] + self.auxiliary_weight * sum(losses[1:]), self._sums(logits, batch, train)

    def _known(self, mask: Array) -> Array:
        """The mask with one value, the number of classes, for all pixels without a label."""
        return jnp.where((mask >= 0) & (mask < len(self.classes)), mask, len(self.classes))

    def _sums(self, scores: Array, batch: Batch, train: bool) -> dict[str, Array]:
        weight = batch["weight"]
        mask = jnp.where(weight[:, None, None] > 0, batch["mask"], IGNORED)
        labelled = self._known(mask) < len(self.classes)
        bands = jnp.zeros(mask.shape, jnp.int32) if train else boundary_bands(batch["mask"], batch.get("extent"))
        return {
            "loss": jnp.sum(jnp.where(labelled, cross_entropy(scores, mask), 0.0)),
            "pixels": jnp.sum(labelled),
            "confusion": confusion_matrices(
                mask,
                jnp.argmax(scores, axis=-1),
                bands,
                len(self.classes),
                1 if train else len(WIDTHS) + 1,
            ),
        }

    def summarize(self, sums: Sums) -> Metrics:
        """Mean cross-entropy of a labelled pixel in nats, and the measures of `evaluation.confusion`, in [0, 1].

        `boundary_mean_iu` is the mean IU of the pixels within `NEAR` pixels of a boundary; training has none.
        """
        bands = np.asarray(sums["confusion"])
        found, near = measures(bands.sum(0)), measures(bands[: WIDTHS.index(NEAR) + 1].sum(0))
        return {
            "loss": float(sums["loss"] / max(float(sums["pixels"]), 1.0)),
            "pixel_accuracy": found.pixel_accuracy,
            "mean_accuracy": found.mean_accuracy,
            "mean_iu": found.mean_iu,
            "frequency_weighted_iu": found.frequency_weighted_iu,
        } | ({"boundary_mean_iu": near.mean_iu} if len(bands) > 1 else {})

    def tables(self, sums: Sums) -> Tables:
        """The IU and the share of the labelled pixels of each class, in [0, 1]; no IU where it is neither there nor
        predicted.
        """
        confusion = np.asarray(sums["confusion"], np.float64).sum(0)
        shares = confusion.sum(1) / max(confusion.sum(), 1)
        return {
            "IU of each class": [
                {"class": name, "IU": None if np.isnan(iu) else float(iu), "share of the pixels": float(share)}
                for name, iu, share in zip(self.classes, measures(confusion).class_iu, shares, strict=True)
            ]
        }

    def decode(self, outputs: Outputs, batch: Batch) -> dict[str, Array]:
        """The likeliest class of each pixel, uint8 `[N, H, W]`."""
        return {"mask": jnp.argmax(outputs[0], axis=-1).astype(jnp.uint8)}

    def view_merger(
        self, network: nn.Module, image_shape: tuple[int, int, int], average: Average
    ) -> AveragePixelScores:
        """The mean of the scores of each pixel over views and windows."""
        return AveragePixelScores(average)

    def pictures(self, records: Predictions, source: Source, folder: Path) -> list[tuple[str, Path]]:
        """Images, truth and prediction side by side, and the IU of each class."""
        from convnets.plots.segmentation import plot_boundary_iu, plot_class_iu, plot_segmentations

        iu, near, sheet = (folder / f"{name}.png" for name in ("class_iu", "boundary_iu", "segmentations"))
        plot_class_iu(records["confusion"].sum(0), self.classes, iu)
        plot_boundary_iu(records["confusion"], near)
        # Spread over what was kept of the split.
        rows = np.unique(np.linspace(0, len(records["mask"]) - 1, SHOWN).astype(int))
        images, truths = zip(*(_unpadded(source[int(place)]) for place in records["place"][rows]), strict=True)
        predicted = {"prediction": _cut(records["mask"][rows], truths)}
        plot_segmentations(images, truths, predicted, self.classes, sheet)
        return [
            ("Intersection over union of each class", iu),
            ("Mean intersection over union near boundaries", near),
            ("Images, truth and prediction", sheet),
        ]

    def compared_pictures(self, records: Mapping[str, Predictions], source: Source, path: Path) -> None:
        """Draws images with their truth and what each run predicts of them.

        Raises:
          InvalidValue: runs that keep predictions of no example in common.
        """
        from convnets.plots.segmentation import plot_segmentations

        masks = {run: dict(zip(of["place"].tolist(), of["mask"], strict=True)) for run, of in records.items()}
        common = sorted(set.intersection(*(set(of) for of in masks.values())))
        if not common:
            raise InvalidValue("the runs keep predictions of no example in common: compare runs of the same data")
        places = [common[i] for i in np.unique(np.linspace(0, len(common) - 1, COMPARED).astype(int))]
        images, truths = zip(*(_unpadded(source[place]) for place in places), strict=True)
        said = {run: _cut([of[place] for place in places], truths) for run, of in masks.items()}
        plot_segmentations(images, truths, said, self.classes, path)

    drawings: Mapping[str, str] = {"mask": ".png", "overlay": "_overlay.png"}

    def draw(self, picture: np.ndarray, prediction: Predictions, record: Mapping[str, Any]) -> dict[str, bytes]:
        """The classes as an index PNG, and in colour over the picture."""
        from convnets.plots.segmentation import index_png, overlay_png

        return {"mask": index_png(prediction["mask"]), "overlay": overlay_png(picture, prediction["mask"])}

    def describe(self, predictions: Predictions) -> list[dict[str, Any]]:
        """For each image, `{"classes": [{"class", "value", "share"}, ...]}`: what it shows, the most of it first."""
        return [{"classes": self._shares(mask)} for mask in predictions["mask"]]

    def _shares(self, mask: np.ndarray) -> list[dict[str, Any]]:
        counts = np.bincount(mask.ravel(), minlength=len(self.classes))[: len(self.classes)]
        order = [int(value) for value in np.argsort(-counts, kind="stable") if counts[value]]
        return [
            {"class": self.classes[value], "value": value, "share": float(counts[value] / counts.sum())}
            for value in order
        ]

    def columns(self, record: Mapping[str, Any]) -> dict[str, str]:
        """The classes that cover most of the image, with their shares of it."""
        shown = record["classes"][:SHARES]
        return {"shows": ", ".join(f"{part['class']} {part['share']:.1%}" for part in shown)}


def _unpadded(example: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The image and the mask of an example without their padding."""
    height, width = example.get("extent", example["mask"].shape)
    return example["image"][:height, :width], example["mask"][:height, :width]


def _cut(masks: Any, truths: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Predicted masks without their padding."""
    return [mask[: truth.shape[0], : truth.shape[1]] for mask, truth in zip(masks, truths, strict=True)]


tasks.variant("segmentation", Segmentation)
