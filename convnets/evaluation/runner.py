"""The exact evaluation of a split: every example once, whatever the batch size and the number of devices."""

import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any, Protocol

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from convnets.data.pipeline import EvaluationBatches, read_ahead
from convnets.data.source import Source
from convnets.evaluation.evaluator import Evaluation, Evaluator
from convnets.parallel import Devices
from convnets.progress import Bar, Screen


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
