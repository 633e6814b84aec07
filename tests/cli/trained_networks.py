"""Networks as a run leaves them, without the run: random numbers in place of learned ones."""

from typing import Any

import jax
import numpy as np

from convnets.cli.export_formats import Trained
from convnets.data.source import SourceInfo
from convnets.training.config import complete, default_config
from convnets.training.setup import build_model
from tests.pretrained.small_variables import drawn


def trained(
    name: str, side: int, channels: int = 3, *, served: int = 0, classes: int = 7, seed: int = 0, **options: Any
) -> Trained:
    """A network for images of `side`, which are the centres of images of `served` pixels where that is given."""
    config = default_config()
    config.network = {"name": name, **options}
    config.normalization = {"mean": (0.4, 0.5, 0.6)[:channels], "std": (0.2, 0.25, 0.3)[:channels]}
    if served:
        config.augmentation = (("random_crop", {"size": side}),)
    shape = (served or side, served or side, channels)
    info = SourceInfo("noise", tuple(f"class {i}" for i in range(classes)), shape, {"train": 10, "test": 10})
    config = complete(config)
    model = build_model(config, info)
    assert model.image_shape == (side, side, channels)
    images = np.zeros((1, *model.image_shape), np.float32)
    shapes = {"batch_stats": {}} | jax.eval_shape(model.network.init, jax.random.key(0), images)
    return Trained(config, model, drawn(shapes, seed), 1000)


def pixels(trained: Trained, count: int) -> np.ndarray:
    """Noise, uint8 `[N, H, W, C]`."""
    return np.random.default_rng(5).integers(0, 256, (count, *trained.model.info.image_shape), np.uint8)
