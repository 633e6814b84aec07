"""Each registered augmentation alone, on the device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.experiment import Experiment, load, training
from benchmarks.measuring import Result, Row
from convnets.analysis.timing import alternate
from convnets.augmentation import augmentations, compose, example_keys
from convnets.errors import InvalidValue


def augmenting(experiment: Experiment, chain: tuple[tuple[str, dict[str, Any]], ...]) -> Callable[[], Any]:
    """A contestant: a chain of augmentations over one batch that is on the device already, keys included."""
    examples = jax.device_put(experiment.examples())
    batch = {"image": examples["image"].astype(jnp.float32) / 255, "label": examples["label"]}
    augment = compose(chain)

    @jax.jit
    def over(epoch: Any, index: Any, batch: Any) -> Any:
        return augment(example_keys(experiment.config.seed, epoch, index), batch)["image"]

    return lambda: over(examples["epoch"], examples["index"], batch)


def run(quick: bool) -> Result:
    """Each with its default options, on batches of 128."""
    experiment = load()
    contestants = {"training step": training(experiment.step, experiment.state(), experiment.batches())}
    refused = {}
    for name in augmentations:
        try:
            contestant = augmenting(experiment, ((name, {}),))
            contestant()
            contestants[name] = contestant
        except (InvalidValue, TypeError) as error:
            refused[name] = str(error)
    timings = alternate(contestants, seconds=0.5 if quick else 10)
    step = timings.pop("training step")
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
    slowest = max(timings, key=lambda name: timings[name].median)
    reading = f"the slowest, {slowest}, takes {timings[slowest].median / step.median:.1%} of LeNet-5's step"
    if refused:
        reading += "; not for these images: " + ", ".join(f"{name} ({why})" for name, why in refused.items())
    shape = " x ".join(map(str, experiment.model.info.image_shape))
    return Result(
        f"Augmentations with their default options, batches of {experiment.batch_size} at {shape}", rows, reading
    )
