"""The evaluation of a split by a run: its batches, its devices, its record."""

from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict

from convnets.data.pipeline import EvaluationBatches, read_ahead
from convnets.data.source import Source
from convnets.evaluation.evaluate import Evaluation, evaluate
from convnets.training.parallel import Devices
from convnets.training.progress import Bar, Screen
from convnets.training.setup import Model, mapped_evaluation_step


class Evaluator:
    """Evaluates states of one model; the mapped step is compiled once."""

    def __init__(self, config: ConfigDict, model: Model, devices: Devices):
        self.config, self.model, self.devices = config, model, devices
        self._step = mapped_evaluation_step(model, devices)

    def __call__(
        self,
        variables: Any,
        source: Source,
        title: str,
        screen: Screen,
        stop: Callable[[], bool] = lambda: False,
    ) -> Evaluation | None:
        """Every example of the source once, under a bar of that title; None if `stop` said so."""
        # The devices share a batch equally; what is filled up weighs nothing.
        size = -(-self.config.evaluation.batch_size // self.devices.count) * self.devices.count
        batches = EvaluationBatches(
            source, batch_size=size, process=jax.process_index(), process_count=jax.process_count()
        )
        with Bar(screen, title, len(batches)) as bar:
            return evaluate(
                self._step,
                variables,
                read_ahead(batches, threads=self.config.loader.threads, buffer=self.config.loader.buffer),
                self.model.task.summarize,
                self.devices.split,
                self.devices.join,
                progress=bar.update,
                stop=stop,
            )
