"""The experiment that the benchmarks measure, LeNet-5 on Fashion-MNIST, and its parts ready to run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from convnets.augment import compose
from convnets.cli.experiments import load_experiment, override
from convnets.data.pipeline import TrainingBatches
from convnets.data.source import Splits
from convnets.parallel import REPLICATED, Devices
from convnets.tasks.model import Model
from convnets.training import step
from convnets.training.plan import Plan, make_plan
from convnets.training.setup import build_model, initial_state, load_splits

EXPERIMENT = Path(__file__).parent.parent / "experiments" / "lenet_fashion_mnist.py"


@dataclass(frozen=True)
class Experiment:
    """What `launch.py train` makes of a config, and what the benchmarks make of that."""

    config: ConfigDict
    splits: Splits
    model: Model
    plan: Plan
    devices: Devices

    @property
    def batch_size(self) -> int:
        """Examples in a step."""
        return int(self.config.train.batch_size)

    @cached_property
    def _initial_state(self) -> Any:
        return self.devices.replicate(initial_state(self.config, self.model, self.plan))

    def state(self) -> Any:
        """A train state of its own for who asks, because steps donate it."""
        return jax.tree.map(jnp.copy, self._initial_state)

    def examples(self) -> dict[str, np.ndarray]:
        """The first batch of the training stream, `[N, ...]`."""
        batches = TrainingBatches(self.splits.train, batch_size=self.batch_size, seed=self.config.seed, steps=1)
        return batches[0]

    def batches(self, steps: int = 1) -> Any:
        """So many times the first batch, on the devices as the mapped step takes them."""
        stacked = {name: np.stack([array] * steps) for name, array in self.examples().items()}
        return self.devices.split(stacked, batch_axis=1)

    @cached_property
    def step(self) -> Callable[[Any, Any], Any]:
        """The training step as the loop runs it, compiled once for all who only need something to compare with."""
        return self.mapped_step()

    def mapped_step(self, *, unroll_steps: bool = True, unroll_microbatches: bool = True) -> Callable[[Any, Any], Any]:
        """A training step of its own, with a say in what is written out and what is looped over."""
        one = step.make_train_step(
            self.model,
            compose(self.config.augmentation),
            self.plan.optimizer,
            self.plan.schedule,
            seed=self.config.seed,
            microbatches=self.config.train.gradient_accumulation,
            average_decay=self.config.train.average_decay,
            unroll=unroll_microbatches,
        )
        repeated = step.repeat(one, unroll=unroll_steps)
        return self.devices.wrap(repeated, (REPLICATED, REPLICATED), batch_axis=1, donate=True)


@cache
def load(*overrides: str) -> Experiment:
    """The experiment with overrides such as `"train.batch_size=16"`, on one device.

    Raises:
      ConvnetsError: an override that does not fit, or data that is not there.
    """
    config = override(load_experiment(str(EXPERIMENT)), [f"--config.{text}" for text in overrides])
    splits = load_splits(config)
    model = build_model(config, splits.train.info)
    plan = make_plan(config, model, len(splits.train))
    return Experiment(config, splits, model, plan, Devices(config.train.wrapper, jax.local_devices()[:1]))


def training(mapped: Callable[[Any, Any], Any], state: Any, batch: Any) -> Callable[[], Any]:
    """A contestant: each call trains one call of the step further, always on the same batch."""

    def call() -> Any:
        nonlocal state
        state, figures = mapped(state, batch)
        return figures

    return call
