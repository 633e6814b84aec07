"""A task that needs more than an image and whose metric is not a sum, as an experiment: the label at each of a set of
query points, scored by average precision."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from convnets import data, models, tasks
from convnets.data.source import ArraySource, SourceInfo
from convnets.evaluation.evaluator import Evaluator
from convnets.training.config import default_config

POINTS, EXAMPLES = 5, 45


class PointNetwork(nn.Module):
    backbone: Any

    @nn.compact
    def __call__(self, images: Any, points: Any, train: bool = False) -> Any:
        _, maps = self.backbone(images, train)
        rows, columns = jnp.moveaxis((points * maps["stage1"].shape[1]).astype(jnp.int32), -1, 0)
        at_points = maps["stage1"][jnp.arange(len(images))[:, None], rows, columns]
        return nn.Dense(1, name="logits")(at_points)[..., 0], maps


class AveragePrecision(Evaluator):
    def result(self) -> Any:
        evaluation = super().result()
        order = np.argsort(-evaluation.records["scores"].ravel(), kind="stable")
        ranked = evaluation.records["point_labels"].ravel()[order]
        precisions = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
        evaluation.metrics["average_precision"] = float(np.sum(ranked * precisions) / ranked.sum())
        return evaluation


class Points(tasks.Task):
    metrics = {"loss": False, "average_precision": True}
    primary, progress = "average_precision", "loss"

    def __init__(self, info: SourceInfo):
        self.classes = info.classes

    def network(self, name, options):
        return PointNetwork(models.create(name, 2, **options))

    def init(self, network, key, image_shape):
        return network.init({"params": key}, jnp.zeros((1, *image_shape)), jnp.zeros((1, POINTS, 2)))

    def forward(self, network, variables, batch, *, train, rngs=None):
        points = batch.get("points", jnp.full((len(batch["image"]), POINTS, 2), 0.5))
        mutable = ["batch_stats"] if train else []
        return network.apply(variables, batch["image"], points, train=train, mutable=mutable, rngs=rngs)

    def loss(self, outputs, batch, *, train):
        losses = optax.sigmoid_binary_cross_entropy(outputs[0], batch["point_labels"]).mean(-1)
        return losses, {"loss": jnp.sum(batch["weight"] * losses)}

    def summarize(self, sums):
        return {"loss": float(sums["loss"] / sums["weight"])}

    def decode(self, outputs, batch):
        return {"scores": nn.sigmoid(outputs[0])}

    def evaluator(self, examples):
        return AveragePrecision(self.summarize, fields=("point_labels",))

    def describe(self, predictions):
        return [{"scores": scores.tolist()} for scores in predictions["scores"]]

    def columns(self, record):
        return {"scores": " ".join(f"{score:.2f}" for score in record["scores"])}


tasks.tasks.variant("points", Points)


@data.sources.register
def bright_squares(split: str, *, data_dir: str = "") -> ArraySource:
    random = np.random.default_rng(len(split))
    corners, points = random.integers(0, 16, (EXAMPLES, 2)), random.uniform(0, 1, (EXAMPLES, POINTS, 2))
    images = random.integers(0, 80, (EXAMPLES, 32, 32, 1)).astype(np.uint8)
    for image, (top, left) in zip(images, corners, strict=True):
        image[top : top + 16, left : left + 16] += 150
    inside = ((points * 32 >= corners[:, None]) & (points * 32 < corners[:, None] + 16)).all(-1)
    info = SourceInfo("squares", ("out", "in"), (32, 32, 1), {"train": EXAMPLES, "test": EXAMPLES})
    arrays = {"image": images, "points": points.astype(np.float32), "point_labels": inside.astype(np.float32)}
    return ArraySource(arrays, info)


def get_config() -> Any:
    config = default_config()
    config.task.name, config.data.name, config.network.name = "points", "bright_squares", "lenet5_bn"
    config.validation.examples, config.train.batch_size, config.evaluation.batch_size = 5, 8, 16
    config.train.duration, config.evaluation.every, config.schedule.name = "12 steps", "6 steps", "constant"
    return config
