"""Experiments of a few steps on a few examples, one for each task."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnets.data import sources
from convnets.data.source import ArraySource, SourceInfo
from convnets.layers import BatchNorm
from convnets.models.registry import architectures
from convnets.models.resnet import ResNet, cifar_resnet

ROOT = Path(__file__).parents[2]
CLASSES = tuple("abcdefghij")

CLASSIFICATION = (
    f"--config={ROOT / 'experiments/lenet_fashion_mnist.py'}",
    "--config.data.name=stripes",
    "--config.train.batch_size=32",
    "--config.train.duration=30 steps",
    "--config.validation.examples=41",
    "--config.evaluation.every=15 steps",
    "--config.evaluation.batch_size=64",
    "--config.log.every=5 steps",
    "--config.schedule.warmup=2 steps",
)
SMALL_RESNET = (
    "--config.network.name=resnet8",
    "--config.network.width=0.25",
    "--config.network.dtype=float32",
    "--config.data.examples=200",
    "--config.validation.examples=20",
    "--config.train.batch_size=16",
    "--config.train.duration=8 steps",
    "--config.evaluation.every=8 steps",
    "--config.evaluation.batch_size=16",
    "--config.log.every=4 steps",
    "--config.schedule.warmup=2 steps",
)
LOCALIZATION = (
    f"--config={ROOT / 'experiments/localization_scenes.py'}",
    *SMALL_RESNET,
    "--config.network.image_size=32",
    "--config.data.size=32",
    "--config.task.hidden=16",
)
SEGMENTATION = (
    f"--config={ROOT / 'experiments/segmentation_scenes.py'}",
    *SMALL_RESNET,
    "--config.task.stride=2",
    "--config.data.size=64",
    "--config.train.resolutions=(('0 steps', 32), ('4 steps', 64))",
    "--config.evaluation.protocol=centre_crop",
    "--config.evaluation.scales=()",
)


def stripes(split: str, *, data_dir: str = "", padding: int = 2) -> ArraySource:
    """200 noisy 28 x 28 images, whose class is the place of a bright stripe, with zeros on each side."""
    random = np.random.default_rng(["train", "test"].index(split))
    labels = random.integers(0, len(CLASSES), 200).astype(np.int32)
    images = random.integers(0, 100, (200, 28, 28, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 4 : 2 * label + 7] += 12
    images = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    info = SourceInfo("stripes", CLASSES, images.shape[1:], {"train": 200, "test": 200}, padding=padding)
    return ArraySource({"image": images, "label": labels}, info)


def resnet8(
    num_classes: int,
    *,
    image_size: int = 0,
    remat: bool = False,
    width: float = 1.0,
    norm: Any = BatchNorm,
    dtype: str = "float32",
) -> ResNet:
    """ResNet-20 with one block in each stage: the same kinds of layers, and a third of them to compile."""
    return cifar_resnet(num_classes, blocks=1, image_size=image_size, remat=remat, width=width, norm=norm, dtype=dtype)


@contextmanager
def small_things_are_known() -> Iterator[None]:
    """Within it `stripes` is a data set, and `resnet8` a network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources._choices, "stripes", stripes)
        patch.setitem(architectures._choices, "resnet8", resnet8)
        yield


@contextmanager
def without_report() -> Iterator[None]:
    """Within it runs end without their report, whose pictures take longer than a few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convnets.cli.train.build_report", lambda *arguments: None)
        yield


TWO_STEPS = (
    "--config.train.duration=2 steps",
    "--config.evaluation.every=2 steps",
    "--config.schedule.warmup=0 steps",
)
"""For runs of which nothing but that they train is asked."""
