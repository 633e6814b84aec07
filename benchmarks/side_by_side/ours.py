"""This library's contestant: the steps that `launch.py` runs, mapped over one device.

Which kernels compute it is chosen by the environment variable CONVNETS_KERNELS.
"""

from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.side_by_side.cases import (
    AUXILIARY_WEIGHT,
    DEVIATION,
    LEARNING_RATE,
    MEAN,
    MOMENTUM,
    WEIGHT_DECAY,
    Case,
    draw_batch,
)
from benchmarks.side_by_side.contestant import Contestant
from convnets.data.source import SourceInfo
from convnets.evaluation.inference import Inference
from convnets.parallel import Devices
from convnets.tasks.model import Model
from convnets.training.config import complete, default_config
from convnets.training.plan import Plan, make_plan
from convnets.training.setup import build_model, initial_state, mapped_train_step

EXAMPLES = 50_000
"""In an epoch, for a schedule that wants to know."""


def make(case: Case) -> Contestant:
    """The contestant, with its state and its batch on the device."""
    config = configure(case)
    sizes = case.sizes
    info = SourceInfo("random images", tuple(map(str, range(sizes.classes))), sizes.image, {"train": EXAMPLES})
    model = build_model(config, info)
    plan = make_plan(config, model, EXAMPLES)
    devices = Devices(config.train.wrapper, jax.local_devices()[:1])
    batch = examples(case)
    if case.mode == "training":
        return training(config, model, plan, devices, batch)
    return inference(config, model, plan, devices, batch)


def training(
    config: ConfigDict, model: Model, plan: Plan, devices: Devices, batch: dict[str, np.ndarray]
) -> Contestant:
    """Steps of training, each from the state that the last one left."""
    mapped = mapped_train_step(config, model, plan, devices)
    state = devices.replicate(initial_state(config, model, plan))
    batches = devices.split({name: array[None] for name, array in batch.items()}, batch_axis=1)

    def call() -> Any:
        nonlocal state
        state, figures = mapped(state, batches)
        return figures

    return Contestant(call, jax.block_until_ready, lambda figures: float(np.mean(figures["objective"])))


def inference(
    config: ConfigDict, model: Model, plan: Plan, devices: Devices, batch: dict[str, np.ndarray]
) -> Contestant:
    """The evaluation step: loss, top-1 and top-5, and the five likeliest classes of each image."""
    mapped = Inference(model, devices, config.evaluation)
    variables = devices.replicate(initial_state(config, model, plan).variables())
    there = devices.split(batch)
    count = len(batch["label"])
    return Contestant(
        lambda: mapped(variables, there), jax.block_until_ready, lambda result: float(result[0]["loss"]) / count
    )


def configure(case: Case) -> ConfigDict:
    """The config of a training run that does what the PyTorch side does."""
    config = default_config()
    channels = case.sizes.image[-1]
    config.normalization = {"mean": (MEAN,) * channels, "std": (DEVIATION,) * channels}
    config.task.auxiliary_weight = AUXILIARY_WEIGHT
    config.network.name = case.network
    config.network.dtype = case.dtype
    if case.network.startswith("googlenet"):
        # The tests' GoogLeNet in PyTorch has no dropout, which costs next to nothing on vectors.
        config.network.dropout = config.network.auxiliary_dropout = 0.0
    # PyTorch's SGD decays every parameter.
    config.optimizer = {
        "name": "sgd",
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
        "decay_bias_and_norm": True,
    }
    config.train.batch_size = case.sizes.batch
    return complete(config)


def examples(case: Case) -> dict[str, np.ndarray]:
    """A batch as the pipeline makes it, `[N, ...]`."""
    images, labels = draw_batch(case.sizes)
    count = len(labels)
    batch = {"image": images, "label": labels, "index": np.arange(count), "weight": np.ones(count, np.float32)}
    return batch | {"epoch": np.zeros(count, np.int32)} if case.mode == "training" else batch
