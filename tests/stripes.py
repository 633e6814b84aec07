"""A small learnable data set, and runs of the mapped step on it."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from convnets.data.pipeline import TrainingBatches
from convnets.data.source import ArraySource, Source, SourceInfo
from convnets.parallel import Devices
from convnets.training.config import complete, default_config
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state, mapped_train_step
from convnets.training.state import TrainState

CLASSES = tuple("abcdefghij")


def striped(count: int, seed: int = 0) -> ArraySource:
    """Noisy 32 x 32 images whose class is the place of a bright stripe."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(CLASSES), count).astype(np.int32)
    images = random.integers(0, 100, (count, 32, 32, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3 * label + 1 : 3 * label + 4] += 120
    info = SourceInfo("stripes", CLASSES, (32, 32, 1), {"train": count, "test": count})
    return ArraySource({"image": images, "label": labels}, info)


def config_of(fields: dict[str, Any] | None = None, **choices: str) -> ConfigDict:
    """A whole config: `config_of({"train.batch_size": 8}, network="lenet5_bn")`."""
    config = default_config()
    config.normalization.mean, config.normalization.std = (0.25,), (0.2,)
    config.validation.examples = 0
    config.optimizer.learning_rate = 0.05
    config = complete(config, {"schedule": "constant"} | choices)
    config.update_from_flattened_dict({"train.batch_size": 32} | (fields or {}))
    return config


def run_steps(
    config: ConfigDict, steps: int, devices: Sequence[jax.Device], per_call: int = 1, source: Source | None = None
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """The state after so many steps on stripes, or on another source, and the figures of each."""
    source = source or striped(256)
    model = build_model(config, source.info)
    plan = make_plan(config, model, len(source))
    mapped = Devices(config.train.wrapper, devices)
    step = mapped_train_step(config, model, plan, mapped)
    state = mapped.replicate(initial_state(config, model, plan))
    batches = TrainingBatches(source, batch_size=config.train.batch_size, seed=config.seed, steps=steps)
    figures = []
    for start in range(0, steps, per_call):
        parts = [batches[number] for number in range(start, start + per_call)]
        stacked = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
        state, reported = step(state, mapped.split(stacked, batch_axis=1))
        figures.append(jax.device_get(reported))
    return jax.device_get(state), {name: np.concatenate([f[name] for f in figures]) for name in figures[0]}


def largest_difference(one: Any, other: Any) -> float:
    """Over all arrays of two trees, relative to the largest entry of each array."""
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max() / max(np.abs(a).max(), 1e-12), one, other)
    return max(jax.tree.leaves(differences))
