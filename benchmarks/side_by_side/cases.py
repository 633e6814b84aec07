"""What is timed: a network, its batch of images, training or inference, in float32 or bfloat16."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MODES = ("training", "inference")
TYPES = ("float32", "bfloat16")

MEAN, DEVIATION = 0.45, 0.225
"""Of every channel, on the scale where white is 1."""

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 1e-4, 0.9, 1e-4
"""A rate with which no network diverges on one batch."""

AUXILIARY_WEIGHT = 0.3
"""Of the losses of GoogLeNet's auxiliary classifiers."""


class Sizes(NamedTuple):
    """Of a network: images in a batch, `(H, W, C)` of one, and classes."""

    batch: int
    image: tuple[int, int, int]
    classes: int


IMAGENET = Sizes(16, (224, 224, 3), 1000)

NETWORKS = {
    "lenet5": Sizes(128, (32, 32, 1), 10),
    "resnet20": Sizes(128, (32, 32, 3), 10),
    "alexnet": Sizes(16, (227, 227, 3), 1000),
    "alexnet_owt": IMAGENET,
    "vgg16": IMAGENET,
    "googlenet": IMAGENET,
    "googlenet_bn": IMAGENET,
    "resnet18": IMAGENET,
    "resnet50": IMAGENET,
}


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
      network: a key of `NETWORKS`.
      mode: "training" or "inference".
      dtype: of the computation, "float32" or "bfloat16"; parameters are float32 in training.
    """

    network: str
    mode: str
    dtype: str

    @property
    def sizes(self) -> Sizes:
        """Of the network."""
        return NETWORKS[self.network]

    def __str__(self) -> str:
        return f"{self.network} {self.mode} {self.dtype}, batch {self.sizes.batch}"


def draw_batch(sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Random images, uint8 `[N, H, W, C]`, and labels, int32 `[N]`: the same for everybody."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (sizes.batch, *sizes.image), np.uint8)
    return images, random.integers(0, sizes.classes, sizes.batch, np.int32)
