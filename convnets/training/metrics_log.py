"""The metrics of training steps; metrics.jsonl, one record a line, and TensorBoard events with the same figures."""

import json
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboardX import SummaryWriter

from convnets.errors import ConvnetsError, InvalidValue
from convnets.files import write_atomically

Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    """The records of a metrics.jsonl, without a last line that a killed run left half written.

    Raises:
      InvalidValue: a line that is no record.
    """
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break
        if not {"kind", "step"} <= record.keys():
            raise InvalidValue(f"{path} has a line without kind and step: {line[:80]!r} was not written by a run")
        records.append(record)
    return records


def best_step(records: Sequence[Record], metric: str, higher: bool, among: Collection[int] | None = None) -> int | None:
    """The step of the best validation, the earliest of equal ones; None before the first.

    Args:
      among: only these steps, if given.
    """
    scores = [
        (record[metric] if higher else -record[metric], -record["step"])
        for record in records
        if record["kind"] == "evaluation"
        and record["split"] == "validation"
        and (among is None or record["step"] in among)
    ]
    return -max(scores)[1] if scores else None


class MetricsLog:
    """Appends records. A context manager.

    On a resumed run the records of steps that are about to be done again are dropped first.

    Args:
      path: of metrics.jsonl.
      events: folder of the TensorBoard events.
      step: where the run stands; evaluations at this very step are done again too, and the test in any case.
      writes: whether to write at all; of several processes the first does, the others only remember.
    """

    def __init__(self, path: Path, events: Path, step: int, *, writes: bool = True):
        kept = [
            record
            for record in read_records(path)
            if record["step"] < step + (record["kind"] == "train") and record.get("split") != "test"
        ]
        self.records = kept
        self._file, self._events = None, None
        if writes:
            write_atomically(path, "".join(_line(record) for record in kept))
            self._file = path.open("a")
            self._events = SummaryWriter(str(events), purge_step=step + 1 if step else None)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None and self._events is not None:
            self._file.close()
            self._events.close()

    def write(self, record: Record) -> None:
        """Writes a record, which has `kind` ("train" or "evaluation"), `step`, and figures."""
        self.records.append(record)
        if self._file is None or self._events is None:
            return
        self._file.write(_line(record))
        self._file.flush()
        folder = record.get("split", record["kind"])
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float) and math.isfinite(value):
                self._events.add_scalar(f"{folder}/{name}", value, record["step"])


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record) + "\n"


FINITE = ("objective", "gradient_norm", "parameter_norm")
ADVICE = (
    "the checkpoints of earlier steps are kept; lower optimizer.learning_rate, warm up longer, or set "
    "optimizer.gradient_clip"
)


class Diverged(ConvnetsError):
    """A loss, its gradient or the parameters are not finite numbers."""


class StepMetrics:
    """Collects the metrics of steps, and makes one record of many.

    They are fetched from the devices late, so that these never wait.

    Args:
      summarize: a task's sums to its metrics.
    """

    def __init__(self, summarize: Callable[[Mapping[str, np.ndarray]], dict[str, float]]):
        self._summarize = summarize
        self._on_device: deque[tuple[int, Any]] = deque()
        self._fetched: list[dict[str, np.ndarray]] = []
        self.last_step = 0

    def add(self, step: int, metrics: Any) -> None:
        """Takes the metrics, `[n]` each, of the n steps that began at `step` done ones."""
        self._on_device.append((step, metrics))

    def fetch(self, keep: int = 0) -> None:
        """Waits for all calls but the last `keep`.

        Raises:
          Diverged: the first step whose loss, gradient or new parameters are not finite.
        """
        while len(self._on_device) > keep:
            step, metrics = self._on_device.popleft()
            metrics = jax.device_get(metrics)
            finite = np.all([np.isfinite(metrics[name]) for name in FINITE], axis=0)
            if not finite.all():
                bad = int(np.argmin(finite))
                loss, gradient, parameters = (metrics[name][bad] for name in FINITE)
                raise Diverged(
                    f"the loss of step {step + bad + 1} is {loss}, the norm of its gradient {gradient} and that of the "
                    f"parameters after it {parameters}: {ADVICE}"
                )
            self._fetched.append(metrics)
            self.last_step = step + len(finite)

    def record(self) -> dict[str, float] | None:
        """Over the steps fetched since the last record: the task's metrics over their examples, the mean objective and
        gradient norm, the last learning rate, and `examples`. None if there were no steps."""
        if not self._fetched:
            return None
        metrics = {name: np.concatenate([part[name] for part in self._fetched]) for name in self._fetched[0]}
        self._fetched = []
        objective, rate = metrics.pop("objective"), metrics.pop("learning_rate")
        norm, _ = metrics.pop("gradient_norm"), metrics.pop("parameter_norm")
        sums = {name: np.asarray(np.sum(values, axis=0, dtype=np.float64)) for name, values in metrics.items()}
        return self._summarize(sums) | {
            "objective": float(np.mean(objective, dtype=np.float64)),
            "gradient_norm": float(np.mean(norm, dtype=np.float64)),
            "learning_rate": float(rate[-1]),
            "examples": round(float(sums["weight"])),
        }
