"""Training all of a network, its last stage with the head, and the head alone: time and memory of a step."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.experiment import training
from benchmarks.measuring import Result, Row
from convnets.analysis.timing import alternate
from convnets.data.source import ArraySource, SourceInfo
from convnets.parallel import Devices
from convnets.training.config import complete, default_config
from convnets.training.plan import make_plan
from convnets.training.savings import savings
from convnets.training.setup import build_model, initial_state, mapped_train_step

SIDE, CLASSES = 64, 10
TRAINED = {"all": "", "last stage and head": "stage4", "head": "pre_logits"}
"""What is trained, by the feature map below which the rest is frozen."""


def random_images(count: int) -> ArraySource:
    """So many images of noise."""
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "image": random.integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8),
        "label": random.integers(0, CLASSES, count).astype(np.int32),
    }
    info = SourceInfo("random images", tuple(map(str, range(CLASSES))), (SIDE, SIDE, 3), {"train": count})
    return ArraySource(arrays, info)


def contestant(below: str, batch_size: int) -> tuple[Callable[[], Any], int, float]:
    """A step with everything below a feature map frozen, the bytes that it works in, and its share of operations."""
    config = default_config()
    config.network.name = "resnet18"
    config.network.image_size = SIDE
    config.normalization.mean = config.normalization.std = (0.5, 0.5, 0.5)
    config.train.batch_size = batch_size
    # What is mapped so is compiled by hand below.
    config.train.wrapper = "shard_map"
    config.freeze.below = below
    config = complete(config)
    source = random_images(batch_size)
    model = build_model(config, source.info)
    plan = make_plan(config, model, len(source))
    devices = Devices(config.train.wrapper, jax.local_devices()[:1])
    state = devices.replicate(initial_state(config, model, plan))
    count = np.arange(batch_size)
    batch = source.batch(count) | {"epoch": np.zeros_like(count, np.int32), "weight": np.ones(batch_size, np.float32)}
    batches = devices.split({name: array[None] for name, array in batch.items()}, batch_axis=1)
    compiled = mapped_train_step(config, model, plan, devices).lower(state, batches).compile()
    saved = savings(config, model, plan, plan.phase_at(0), source, ())
    share = saved.phase.operations / saved.whole.operations
    return training(compiled, state, batches), compiled.memory_analysis().temp_size_in_bytes, share


def run(quick: bool) -> Result:
    """ResNet-18 on 64 x 64 images."""
    batch_size = 8 if quick else 32
    made = {name: contestant(below, batch_size) for name, below in TRAINED.items()}
    timings = alternate({name: call for name, (call, _, _) in made.items()}, seconds=0.5 if quick else 20)
    whole = made["all"][1]
    rows: list[Row] = [
        {
            "trained": name,
            "ms_a_step": timings[name].median * 1e3,
            **timings[name].over(timings["all"]),
            "share_of_operations": share,
            "temporary_MB": memory / 1e6,
            "ratio_of_memory": memory / whole,
        }
        for name, (_, memory, share) in made.items()
    ]
    found = [
        f"{name}: {row['ratio_of_medians']:.2f} of the time and {row['ratio_of_memory']:.2f} of the memory"
        for name, row in zip(TRAINED, rows, strict=True)
    ]
    return Result(
        f"Freezing, a step against one that trains everything (ResNet-18, {SIDE} x {SIDE}, batch {batch_size})",
        rows,
        f"of a step that trains everything take {'; '.join(found[1:])}",
    )
