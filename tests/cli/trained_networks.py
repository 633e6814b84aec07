"""Networks as a run leaves them, without the run: random numbers in place of learned ones."""

import math
from typing import Any

import jax
import numpy as np

from convnets.cli.export_formats import Trained
from convnets.data.source import SourceInfo
from convnets.training.config import complete, default_config
from convnets.training.setup import build_model


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
    return Trained(config, model, _drawn(model.network, model.image_shape, seed), 1000)


def pixels(trained: Trained, count: int) -> np.ndarray:
    """Noise, uint8 `[N, H, W, C]`."""
    return np.random.default_rng(5).integers(0, 256, (count, *trained.model.info.image_shape), np.uint8)


def _drawn(network: Any, image_shape: tuple[int, int, int], seed: int) -> Any:
    """Numbers by which responses neither grow nor fade, as NumPy's arrays."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, *image_shape), np.float32))
    random = np.random.default_rng(seed)

    def drawn(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key == "kernel":
            return random.normal(0, (2 / math.prod(leaf.shape[:-1])) ** 0.5, leaf.shape).astype(np.float32)
        low = 0.5 if path[-1].key in ("scale", "variance") else -0.5
        return random.uniform(low, low + 1, leaf.shape).astype(np.float32)

    return {"batch_stats": {}} | jax.tree_util.tree_map_with_path(drawn, shapes)
