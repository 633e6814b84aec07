"""Image classification: softmax cross-entropy, top-1 and top-5 accuracy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from convnets import models
from convnets.data.source import Source, SourceInfo
from convnets.errors import InvalidValue
from convnets.evaluation.averaging import Average, AverageScores
from convnets.evaluation.metrics import top_k_correct
from convnets.tasks.task import Batch, Outputs, Predictions, Task, check_weights, tasks

MISTAKES_SHOWN = 40


class Classification(Task):
    """One label for each image.

    Args:
      info: of the source; its classes, at least two, are told apart.
      label_smoothing: probability, in [0, 1), taken from the true class and spread over all (Szegedy et al. 2016).
      auxiliary_weight: of the loss of each auxiliary classifier that the network has in training (GoogLeNet: 0.3).
    """

    metrics: Mapping[str, bool] = {"loss": False, "top1": True, "top5": True}
    primary = "top1"
    progress = "top1"

    def __init__(self, info: SourceInfo, *, label_smoothing: float = 0.0, auxiliary_weight: float = 0.3):
        if not 0 <= label_smoothing < 1:
            raise InvalidValue(f"label_smoothing is {label_smoothing}, and must lie in [0, 1)")
        if len(info.classes) < 2:
            raise InvalidValue(
                f"the data set {info.name!r} names {len(info.classes)} classes, and classification needs two"
            )
        check_weights(auxiliary_weight=auxiliary_weight)
        self.classes = info.classes
        self.label_smoothing = label_smoothing
        self.auxiliary_weight = auxiliary_weight

    def network(self, name: str, options: Mapping[str, Any]) -> nn.Module:
        """The architecture itself: its logits are the head."""
        return models.create(name, len(self.classes), **options)

    def loss(self, outputs: Outputs, batch: Batch, *, train: bool) -> tuple[Array, dict[str, Array]]:
        """Softmax cross-entropy of each example, in nats, float32 `[N]`; that of auxiliary logits is added weighted.

        A mixed example is of several classes: it has `labels [N, M]` and their `label_shares [N, M]`. The sums are of
        the cross-entropy without smoothing, and of correct examples.
        """
        truth = jax.nn.one_hot(batch["label"], len(self.classes))
        if "labels" in batch:
            truth = jnp.einsum("nmc,nm->nc", jax.nn.one_hot(batch["labels"], len(self.classes)), batch["label_shares"])
        truth = optax.smooth_labels(truth, self.label_smoothing)
        maps = outputs[1]
        auxiliary = [(logits, maps) for name, logits in maps.items() if name.startswith("auxiliary")]
        losses = [optax.softmax_cross_entropy(one_window(head), truth) for head in (outputs, *auxiliary)]
        logits, labels, weight = one_window(outputs), batch["label"], batch["weight"]
        plain = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses[0] + self.auxiliary_weight * sum(losses[1:]), {
            "loss": jnp.sum(weight * plain),
            "top1": jnp.sum(weight * top_k_correct(logits, labels, 1)),
            "top5": jnp.sum(weight * top_k_correct(logits, labels, 5)),
        }

    def summarize(self, sums: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Mean cross-entropy in nats; top-1 and top-5 accuracy in [0, 1]."""
        return {name: float(sums[name] / sums["weight"]) for name in self.metrics}

    def decode(self, outputs: Outputs, batch: Batch) -> dict[str, Array]:
        """The five likeliest classes, int32 `[N, 5]`, the likeliest first, and their probabilities, float32."""
        count = min(5, len(self.classes))
        # By the logits, as top-1 counts: probabilities round to equal ones where logits still differ.
        logits = one_window(outputs)
        _, classes = jax.lax.top_k(logits, count)
        probabilities = jnp.take_along_axis(jax.nn.softmax(logits), classes, axis=-1)
        return {"classes": classes.astype(jnp.int32), "probabilities": probabilities}

    def view_merger(self, network: nn.Module, image_shape: tuple[int, int, int], average: Average) -> AverageScores:
        """The mean of the scores of all views."""
        return AverageScores(average)

    def pictures(self, records: Predictions, source: Source, folder: Path) -> list[tuple[str, Path]]:
        """The confusion matrix, and a sheet of the most confident mistakes with their images."""
        from convnets.plots.classification import plot_confusion_matrix, plot_mistakes

        labels, predicted = records["label"], records["classes"][:, 0]
        confidence = records["probabilities"][:, 0]
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(matrix, (labels, predicted), 1)
        plot_confusion_matrix(matrix, self.classes, folder / "confusion_matrix.png")

        wrong = np.flatnonzero(labels != predicted)
        worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES_SHOWN]
        images = source.batch(worst)["image"] if len(worst) else np.zeros((0, *source.info.image_shape), np.uint8)
        plot_mistakes(
            images,
            labels[worst],
            predicted[worst],
            confidence[worst],
            records["index"][worst],
            self.classes,
            folder / "mistakes.png",
        )
        return [
            ("Confusion matrix", folder / "confusion_matrix.png"),
            ("The most confident mistakes", folder / "mistakes.png"),
        ]

    def describe(self, predictions: Predictions) -> list[dict[str, Any]]:
        """For each image, `{"predictions": [{"class", "label", "probability"}, ...]}`, the likeliest first."""
        return [
            {
                "predictions": [
                    {"class": self.classes[label], "label": int(label), "probability": float(probability)}
                    for label, probability in zip(labels, probabilities, strict=True)
                ]
            }
            for labels, probabilities in zip(predictions["classes"], predictions["probabilities"], strict=True)
        ]

    def columns(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Ranks, each with a class and its probability."""
        guesses = enumerate(record["predictions"], 1)
        return {str(rank): f"{guess['class']} {guess['probability']:.1%}" for rank, guess in guesses}


def one_window(outputs: Outputs) -> Array:
    """The logits `[N, C]` of images of the network's native size.

    Raises:
      InvalidValue: a map of logits, as larger images give.
    """
    logits = outputs[0]
    if logits.ndim != 2:
        raise InvalidValue(
            f"the images are larger than the network's native size, so that it gives a {logits.shape[1]} x "
            f"{logits.shape[2]} map of logits instead of one label: set network.image_size, or serve smaller images"
        )
    return logits


tasks.variant("classification", Classification)
