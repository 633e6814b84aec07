"""One network trained many times, with other seeds and other examples, by a step that is compiled once."""

from collections.abc import Callable
from contextlib import closing
from functools import cached_property
from itertools import repeat
from typing import Any

import jax
from ml_collections import ConfigDict

from convnets.data.source import Source, SourceInfo
from convnets.evaluation.evaluator import evaluate
from convnets.evaluation.features import Features, features_of
from convnets.evaluation.inference import Inference
from convnets.parallel import Devices
from convnets.progress import Screen
from convnets.training.feed import Feed
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state, mapped_train_step
from convnets.training.state import TrainState

Begin = Callable[[TrainState], TrainState]
"""A state before the first step, as NumPy arrays, to one with other parameters."""


class RepeatedTraining:
    """Trainings of an experiment that differ in seeds and examples.

    Augmentation and dropout are drawn with the config's own seed in all of them, because they are part of the step.

    Args:
      config: complete; its durations are in steps, so that they don't depend on the number of examples.
      info: of the examples.

    Raises:
      InvalidValue: as `build_model` and `make_plan`.
    """

    def __init__(self, config: ConfigDict, info: SourceInfo):
        self.config = config
        self.model = build_model(config, info)
        self.devices = Devices(config.train.wrapper, jax.local_devices()[:1])
        self.plan = make_plan(config, self.model, config.train.batch_size)
        self.inference = Inference(self.model, self.devices, config.evaluation)

    def __call__(self, train: Source, seed: int, begin: Begin = lambda state: state) -> Any:
        """The variables after the last step, on the device.

        Args:
          seed: of the parameters that are drawn, and of the order of the examples.
          begin: what puts other parameters into the state before the first step.
        """
        state = self.devices.replicate(begin(self.drawn(seed)))
        steps = self.plan.steps
        feed = Feed(self._seeded(seed), train, self.devices, sizes=repeat(1, steps), start=0, steps=steps)
        with closing(feed):
            for _, batches in feed:
                state, _ = self._step(state, batches)
        return state.variables()

    def drawn(self, seed: int) -> TrainState:
        """The state before the first step, as NumPy arrays."""
        return jax.device_get(initial_state(self._seeded(seed), self.model, self.plan))

    def features(self, variables: Any, source: Source) -> Features:
        """The pooled feature maps of every example."""
        return features_of(self.config, self.model, variables, source, self.devices, title="", screen=Screen(None))

    def accuracy(self, variables: Any, source: Source) -> float:
        """The share of a source's examples that the network is right about."""
        evaluator = self.model.task.evaluator(len(source))
        found = evaluate(
            self.inference,
            variables,
            source,
            evaluator,
            self.devices,
            self.config,
            title="",
            screen=Screen(None),
        )
        assert found is not None
        return found.metrics["top1"]

    def _seeded(self, seed: int) -> ConfigDict:
        config = self.config.copy_and_resolve_references()
        config.seed = seed
        return config

    @cached_property
    def _step(self) -> Any:
        return mapped_train_step(self.config, self.model, self.plan, self.devices)
