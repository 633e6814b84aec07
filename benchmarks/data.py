"""The stream of training batches alone, and how near the step comes to what the machine's multipliers allow."""

from collections.abc import Callable
from itertools import repeat
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import multiply_adds
from benchmarks.experiment import Experiment, load, training
from benchmarks.measuring import Result, Row
from convnets.analysis.timing import alternate
from convnets.data.pipeline import TrainingBatches, read_ahead
from convnets.training.feed import Feed

SIDE = 1024
"""Rows of the square matrices whose product gives the rate of multiply-adds."""

STREAM = 10**6
"""Steps; more than any slice will ask for."""


def feed(experiment: Experiment) -> Callable[[], Any]:
    """A contestant: the next batch on the device, as the loop gets it."""
    stream = Feed(
        experiment.config, experiment.splits.train, experiment.devices, sizes=repeat(1), start=0, steps=STREAM
    )
    return lambda: next(stream)[1]


def gathering(experiment: Experiment) -> Callable[[], Any]:
    """A contestant: the next batch in the host's memory, gathered by the calling thread."""
    batches = TrainingBatches(
        experiment.splits.train, batch_size=experiment.batch_size, seed=experiment.config.seed, steps=STREAM
    )
    numbers = iter(range(STREAM))

    def call() -> None:
        batches[next(numbers)]

    return call


def reading(experiment: Experiment) -> Callable[[], Any]:
    """A contestant: the next batch in the host's memory, read ahead by threads."""
    loader = experiment.config.loader
    batches = TrainingBatches(
        experiment.splits.train, batch_size=experiment.batch_size, seed=experiment.config.seed, steps=STREAM
    )
    stream = read_ahead(batches, threads=loader.threads, buffer=loader.buffer)

    def call() -> None:
        next(stream)

    return call


def matrix_product() -> Callable[[], Any]:
    """A contestant: one product of two square float32 matrices."""
    a, b = (jax.random.normal(jax.random.key(i), (SIDE, SIDE), jnp.float32) for i in (0, 1))
    product = jax.jit(lambda a, b: a @ b)
    return lambda: product(a, b)


def run(quick: bool) -> Result:
    """For LeNet-5 at batch 128."""
    experiment = load()
    size = experiment.batch_size
    timings = alternate(
        {
            "training step": training(experiment.step, experiment.state(), experiment.batches()),
            "batches gathered by one thread": gathering(experiment),
            "batches read ahead": reading(experiment),
            "batches fed to the device": feed(experiment),
            "matrix product": matrix_product(),
        },
        seconds=0.5 if quick else 12,
    )
    step, product = timings["training step"], timings.pop("matrix product")
    _, operations = multiply_adds.of_an_image(experiment.model.network, experiment.model.info.image_shape)

    def floor(of: Callable[[Any], float]) -> float:
        return size * operations * of(product) / SIDE**3

    median, minimum = floor(lambda timing: timing.median), floor(lambda timing: timing.minimum)
    rows: list[Row] = [
        {
            "what": name,
            "ms_a_batch": timing.median * 1e3,
            "images_a_second": round(size / timing.median),
            "share_of_step_by_medians": timing.median / step.median,
            "share_of_step_by_minima": timing.minimum / step.minimum,
        }
        for name, timing in timings.items()
    ]
    rows.append(
        {
            "what": "floor: the step's multiply-adds at the rate of a matrix product",
            "ms_a_batch": median * 1e3,
            "images_a_second": round(size / median),
            "share_of_step_by_medians": median / step.median,
            "share_of_step_by_minima": minimum / step.minimum,
        }
    )
    share = timings["batches fed to the device"].median / step.median
    rate = 2 * SIDE**3 / product.median / 1e9
    return Result(
        "The feed and the floor (LeNet-5, batch 128)",
        rows,
        f"feeding takes {share:.1%} of a step; the step needs {operations / 1e6:.2f} million multiply-adds an image, "
        f"and reaches {median / step.median:.1%} of the {rate:.0f} GFLOP/s of a {SIDE} x {SIDE} matrix product here",
    )
