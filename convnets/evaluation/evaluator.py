"""What is collected of a split while it is evaluated: sums, and predictions as plain records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
