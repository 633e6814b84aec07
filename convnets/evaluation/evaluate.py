"""The exact evaluation of a split: every example once, whatever the batch size and the number of devices."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

Batch = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """What a split's evaluation gave.

    Attributes:
      metrics: by name, as the task summarizes them.
      examples: how many examples they are over.
      seconds: wall time.
      predictions: for each example that is kept, in the order of the split, what the task predicts, the example's own
        scalars (`label`, `index`) and its `place` in the split.
      tables: the sums that are more than a number, as a confusion matrix.
    """

    metrics: dict[str, float]
    examples: int
    seconds: float
    predictions: dict[str, np.ndarray]
    tables: dict[str, np.ndarray]


def evaluate(
    step: Callable[[Any, Any], tuple[Any, Any]],
    variables: Any,
    batches: Iterable[Batch],
    summarize: Callable[[Mapping[str, np.ndarray]], dict[str, float]],
    split: Callable[[Batch], Any],
    join: Callable[[Any], Any],
    *,
    every: int = 1,
    progress: Callable[[int], None] = lambda batches_done: None,
    stop: Callable[[], bool] = lambda: False,
) -> Evaluation | None:
    """Runs a network over the batches of a split.

    Args:
      step: `(variables, batch on the devices) -> (weighted sums over the batch, predictions of its examples)`.
      batches: with `weight [n]`, 0.0 for padding, and `place [n]` in the split. With several processes, each has its
        part of every batch.
      summarize: sums to metrics; the sums have `weight`, which counts the examples.
      split, join: put a batch on the devices, and get predictions back as NumPy arrays `[n, ...]`.
      every: predictions are kept of one in so many examples.
      stop: asked after every batch.

    Returns:
      The evaluation, or None if `stop` said so.
    """
    start = time.monotonic()
    total: dict[str, np.ndarray] = {}
    kept: list[dict[str, np.ndarray]] = []
    for number, batch in enumerate(batches, 1):
        sums, predictions = step(variables, split(batch))
        # In float64, so that a sum over many batches stays exact for counts.
        sums = {name: np.asarray(value, np.float64) for name, value in jax.device_get(sums).items()}
        total = {name: total.get(name, 0.0) + value for name, value in sums.items()}
        scalars = {name: value for name, value in batch.items() if value.ndim == 1}
        part = _everyones(scalars | join(predictions))
        chosen = (part["place"] % every == 0) & (part["weight"] > 0)
        kept.append({name: value[chosen] for name, value in part.items()})
        progress(number)
        if stop():
            return None
    whole = {name: _concatenated([part[name] for part in kept]) for name in kept[0] if name != "weight"}
    order = np.argsort(whole["place"], kind="stable")
    return Evaluation(
        metrics=summarize(total),
        examples=round(float(total["weight"])),
        seconds=time.monotonic() - start,
        predictions={name: value[order] for name, value in whole.items()},
        tables={name: value for name, value in total.items() if value.ndim},
    )


def _concatenated(parts: list[np.ndarray]) -> np.ndarray:
    """Arrays `[n, ...]` one behind the other, those of smaller images filled up with zeros at their far ends."""
    shape = np.max([part.shape[1:] for part in parts], axis=0)
    filled = [
        np.pad(part, [(0, 0), *((0, wanted - own) for own, wanted in zip(part.shape[1:], shape, strict=True))])
        for part in parts
    ]
    return np.concatenate(filled)


def _everyones(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The batch's examples of all processes, in order."""
    if jax.process_count() == 1:
        return part
    return {
        name: value.reshape(-1, *value.shape[2:]) for name, value in multihost_utils.process_allgather(part).items()
    }
