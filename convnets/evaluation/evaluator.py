"""The exact evaluation of a split: every example once, whatever the batch size and the number of devices.

What is collected on the way are sums, and predictions as plain records.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from convnets.data.pipeline import EvaluationBatches, read_ahead
from convnets.data.source import Source
from convnets.parallel import Devices
from convnets.progress import Bar, Screen

Sums = Mapping[str, np.ndarray]
Metrics = dict[str, float]
Tables = dict[str, list[dict[str, str | int | float | None]]]
"""By their titles, the rows of tables, each its cells by column, alike in all rows; None where nothing was measured."""


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation of a split gave.

    Attributes:
      metrics: by name.
      tables: behind the metrics, such as those of each class.
      records: for each example that is kept, in the order of the split, its prediction, its own scalars (`label`,
        `index`) and its `place` in the split; and the sums that are more than a number, such as a confusion matrix.
      examples: how many examples the metrics are over.
      seconds: wall time.
    """

    metrics: Metrics
    tables: Tables
    records: dict[str, np.ndarray]
    examples: int
    seconds: float = 0.0


class Evaluator:
    """Adds sums up, and keeps predictions. For a metric that is not a sum (average precision) override `result`.

    Args:
      summarize: sums to metrics.
      tables: sums to tables.
      every: predictions are kept of one in so many examples.
      fields: of a batch that are kept beside its scalars, such as the truth that `result` needs.
    """

    def __init__(
        self,
        summarize: Callable[[Sums], Metrics],
        tables: Callable[[Sums], Tables] = lambda sums: {},
        *,
        every: int = 1,
        fields: Sequence[str] = (),
    ):
        self.summarize, self.tables, self.every, self.fields = summarize, tables, every, tuple(fields)
        self.sums: dict[str, np.ndarray] = {}
        self._kept: list[dict[str, np.ndarray]] = []

    def add(self, sums: Sums, predictions: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray]) -> None:
        """Takes what came of a batch of all processes.

        Args:
          sums: over its examples.
          predictions: `[n, ...]`, of its real examples; there is no padding among them.
          batch: the scalars of these examples and `fields`, `[n, ...]`.
        """
        if both := predictions.keys() & batch.keys():
            raise ValueError(f"{sorted(both)} are names of predictions and of fields of the batch: name them apart")
        # In float64, so that a sum over many batches stays exact for counts.
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + np.asarray(value, np.float64)
        chosen = batch["place"] % self.every == 0
        self._kept.append({name: value[chosen] for name, value in (*batch.items(), *predictions.items())})

    def result(self) -> Evaluation:
        """The evaluation of all examples that were added."""
        names = self._kept[0] if self._kept else ()
        whole = {name: _concatenated([part[name] for part in self._kept]) for name in names if name != "weight"}
        order = np.argsort(whole["place"], kind="stable")
        more = {name: value for name, value in self.sums.items() if value.ndim}
        return Evaluation(
            metrics=self.summarize(self.sums),
            tables=self.tables(more),
            records={name: value[order] for name, value in whole.items()} | more,
            examples=round(float(self.sums["weight"])),
        )


def _concatenated(parts: list[np.ndarray]) -> np.ndarray:
    """Arrays `[n, ...]` one behind the other, those of smaller images padded with zeros at their far ends."""
    shape = np.max([part.shape[1:] for part in parts], axis=0)
    padded = [
        np.pad(part, [(0, 0), *((0, wanted - own) for own, wanted in zip(part.shape[1:], shape, strict=True))])
        for part in parts
    ]
    return np.concatenate(padded)


class Step(Protocol):
    """What a split is run through: `(variables, batch on the devices) -> (sums over the batch, predictions)`.

    Attributes:
      calls: of the devices for each batch.
      seen: set to what is to be told of each call but the last of a batch.
    """

    calls: int
    seen: Callable[[], None]

    def __call__(self, variables: Any, batch: Any) -> tuple[Any, Any]: ...

    def join(self, predictions: Any) -> Mapping[str, np.ndarray]:
        """Predictions as NumPy arrays `[n, ...]`."""


def evaluate(
    step: Step,
    variables: Any,
    source: Source,
    evaluator: Evaluator,
    devices: Devices,
    config: ConfigDict,
    *,
    title: str,
    screen: Screen,
    stop: Callable[[], bool] = lambda: False,
) -> Evaluation | None:
    """Hands each example of a source to a step once, and what comes of it to the evaluator.

    Args:
      variables: on the devices.
      evaluator: the task's for so many examples, or another one.
      config: of the run: `evaluation.batch_size` and the section `loader`.
      title: of the bar.
      stop: asked after every batch.

    Returns:
      The evaluation, or None if `stop` said so.
    """
    # The devices share a batch equally; the padding weighs nothing.
    batch_size = -(-config.evaluation.batch_size // devices.count) * devices.count
    batches = EvaluationBatches(
        source, batch_size=batch_size, process=jax.process_index(), process_count=jax.process_count()
    )
    start, done = time.monotonic(), itertools.count(1)
    with (
        Bar(screen, title, len(batches) * step.calls) as bar,
        closing(read_ahead(batches, **config.loader)) as stream,
    ):
        step.seen = lambda: bar.update(next(done))
        for number, batch in enumerate(stream, 1):
            sums, predictions = step(variables, devices.split(batch))
            kept = {name: value for name, value in batch.items() if value.ndim == 1 or name in evaluator.fields}
            evaluator.add(jax.device_get(sums), *_real(step.join(predictions), kept))
            bar.update(number * step.calls)
            if stop():
                return None
    return replace(evaluator.result(), seconds=time.monotonic() - start)


def _real(
    predictions: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of all processes the real examples, in order; the padding is left out."""
    both = predictions, batch
    if jax.process_count() > 1:
        both = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), multihost_utils.process_allgather(both))
    real = both[1]["weight"] > 0
    chosen = [{name: value[real] for name, value in part.items()} for part in both]
    return chosen[0], chosen[1]
