"""Each augmentation alone, on the device, and a usual chain beside a training step of ResNet-20."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.experiment import Experiment, training
from benchmarks.measuring import Result, Row
from convnets.analysis.timing import alternate
from convnets.augment import Transform, compose, example_keys, transforms
from convnets.data.source import ArraySource, SourceInfo, Splits
from convnets.parallel import Devices
from convnets.training.config import complete, default_config
from convnets.training.plan import make_plan
from convnets.training.setup import build_model

SHAPE = (32, 32, 3)
STEP = "training step of ResNet-20"
CHAIN: tuple[Transform, ...] = (("flip", {}), ("pad_and_crop", {}), ("colour_jitter", {}))


@cache
def load() -> Experiment:
    """ResNet-20 on images as large as CIFAR-10's, of noise: no augmentation looks at what they show."""
    random = np.random.default_rng(0)
    info = SourceInfo("noise", tuple("abcdefghij"), SHAPE, {"train": 1024, "test": 1024})
    images = random.integers(0, 256, (1024, *SHAPE), dtype=np.uint8)
    source = ArraySource({"image": images, "label": random.integers(0, 10, 1024).astype(np.int32)}, info)
    config = default_config()
    config.network.name = "resnet20"
    config.normalization.mean, config.normalization.std = (0.5,) * 3, (0.25,) * 3
    config.validation.examples = 0
    config = complete(config)
    model = build_model(config, info)
    plan = make_plan(config, model, len(source))
    devices = Devices(config.train.wrapper, jax.local_devices()[:1])
    return Experiment(config, Splits(source, None, source), model, plan, devices)


def augmenting(experiment: Experiment, chain: tuple[Transform, ...]) -> Callable[[], Any]:
    """A contestant: a chain of augmentations over one batch that is on the device already, keys included."""
    examples = jax.device_put(experiment.examples())
    batch = {"image": examples["image"].astype(jnp.float32) / 255, "label": examples["label"]}
    augment = compose(chain)

    @jax.jit
    def over(epoch: Any, index: Any, batch: Any) -> Any:
        return augment(example_keys(experiment.config.seed, epoch, index), batch)["image"]

    return lambda: over(examples["epoch"], examples["index"], batch)


def run(quick: bool) -> Result:
    """With default options, on batches of 128."""
    experiment = load()
    chains: dict[str, tuple[Transform, ...]] = {name: ((name, {}),) for name in transforms}
    chains[" + ".join(name for name, _ in CHAIN)] = CHAIN
    contestants = {STEP: training(experiment.step, experiment.state(), experiment.batches())}
    contestants |= {name: augmenting(experiment, chain) for name, chain in chains.items()}
    timings = alternate(contestants, seconds=0.5 if quick else 20)
    step = timings[STEP]
    rows: list[Row] = [
        {
            "augmentation": name,
            "ms_a_batch": timing.median * 1e3,
            "images_a_second": round(experiment.batch_size / timing.median),
            "share_of_step_by_medians": timing.median / step.median,
            "share_of_step_by_minima": timing.minimum / step.minimum,
        }
        for name, timing in timings.items()
    ]
    chain = timings[" + ".join(name for name, _ in CHAIN)]
    del timings[STEP]
    slowest = max(timings, key=lambda name: timings[name].median)
    reading = (
        f"flip, crop and colour together take {chain.median / step.median:.1%} of ResNet-20's step (by minima "
        f"{chain.minimum / step.minimum:.1%}); the slowest, {slowest}, {timings[slowest].median / step.median:.1%}"
    )
    shape = " x ".join(map(str, SHAPE))
    return Result(
        f"Augmentations with their default options, batches of {experiment.batch_size} at {shape}", rows, reading
    )
