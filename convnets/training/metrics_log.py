"""metrics.jsonl and TensorBoard events: one record a line, the same figures in both."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from convnets.errors import InvalidValue
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
