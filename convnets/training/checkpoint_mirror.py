"""Copies of a run's checkpoints in a bucket or another folder. All that the project knows of TensorStore is here."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorstore as ts
from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.training.config import complete, differences, from_text, to_json

WHOLE = "whole"
"""The file that is written last into the copy of a checkpoint, and removed first."""

CONFIG = "config.json"
METRICS = "metrics.jsonl"

ANSWERS_WITHIN = 60
"""Seconds after which a bucket counts as one that can't be reached."""


class CheckpointMirror:
    """Copies of the checkpoints in a local folder, and of the run's metrics, so that neither is lost with a machine.

    A copy counts once it is whole. The folder is one run's: it holds its config, and another is refused.

    Args:
      where: a folder, or a URL that TensorStore knows (gs://bucket/folder, s3://bucket/folder).
      local: the folder of the checkpoints that are copied.
      metrics: the run's metrics.jsonl.

    Raises:
      InvalidValue: a URL of another kind; and, from every method, a place that can't be reached, read or written.
    """

    def __init__(self, where: str, local: Path, metrics: Path):
        self.where, self.local, self.metrics = where.rstrip("/"), local, metrics
        with self._complaining("opened"):
            self._store = ts.KvStore.open(_spec(self.where)).result(timeout=ANSWERS_WITHIN)

    def claim(self, config: ConfigDict) -> None:
        """Makes the place this run's, and brings what is only there or only here to the other side.

        Raises:
          InvalidValue: the place of another run, with the fields that differ.
        """
        there = self._read(CONFIG, within=ANSWERS_WITHIN)
        if there is not None:
            # Fields that are newer than the copies have the values that the run had without them.
            different = differences(complete(from_text(there.decode(), f"{self.where}/{CONFIG}")), config)
            if different:
                raise InvalidValue(
                    f"checkpoint.folder {self.where} holds checkpoints of a run of another config "
                    f"({'; '.join(different)}): name another folder, or leave these fields as they are there"
                )
        elif self._copies():
            raise InvalidValue(f"checkpoint.folder {self.where} holds checkpoints but no {CONFIG}: name another")
        with self._complaining("written"):
            self._store.write(CONFIG, to_json(config).encode()).result(timeout=ANSWERS_WITHIN)
        self._fetch()
        copies = self._copies()
        for step in sorted(self._local_steps()):
            if step not in copies:
                self.update(step)

    def update(self, step: int) -> None:
        """Copies a checkpoint with the metrics, and removes the copies of those that are no longer in the local
        folder."""
        folder = self.local / str(step)
        with self._complaining("written"):
            writes = [
                self._store.write(f"{step}/{path.relative_to(folder)}", path.read_bytes())
                for path in folder.rglob("*")
                if path.is_file()
            ]
            for write in writes:
                write.result()
            self.update_metrics()
            self._store.write(f"{step}/{WHOLE}", b"").result()
            for old in self._copies().keys() - self._local_steps():
                self._store.write(f"{old}/{WHOLE}", None).result()
                self._store.delete_range(ts.KvStore.KeyRange(f"{old}/", f"{old}0")).result()

    def update_metrics(self) -> None:
        """Copies the metrics alone."""
        with self._complaining("written"):
            self._store.write(METRICS, self.metrics.read_bytes()).result()

    def _fetch(self) -> None:
        """Brings the checkpoints that the local folder lacks; and the metrics, where there are none or older ones."""
        here = self._local_steps()
        missing = {step: names for step, names in self._copies().items() if step not in here}
        for step, names in missing.items():
            # Renamed when it is whole, as Orbax does; a name that it would not take for a checkpoint until then.
            temporary = self.local / f".{step}.fetched"
            for name in names:
                write_atomically(temporary / name, self._read(f"{step}/{name}") or b"")
            temporary.rename(self.local / str(step))
        if missing and (not self.metrics.exists() or max(missing) > max(here, default=0)):
            write_atomically(self.metrics, self._read(METRICS) or b"")

    def _local_steps(self) -> set[int]:
        return {int(path.name) for path in self.local.glob("*") if path.name.isdigit()}

    def _copies(self) -> dict[int, list[str]]:
        """The names of the files of each copy that is whole."""
        with self._complaining("listed"):
            keys = self._store.list().result(timeout=ANSWERS_WITHIN)
        found: dict[int, list[str]] = {}
        for step, _, name in (key.decode().partition("/") for key in keys):
            if step.isdigit():
                found.setdefault(int(step), []).append(name)
        return {step: [n for n in names if n != WHOLE] for step, names in sorted(found.items()) if WHOLE in names}

    def _read(self, name: str, within: float | None = None) -> bytes | None:
        with self._complaining("read"):
            found = self._store.read(name).result(timeout=within)
        return found.value if found.state == "value" else None

    @contextlib.contextmanager
    def _complaining(self, what: str) -> Iterator[None]:
        """Says in a sentence what TensorStore raises."""
        try:
            yield
        except InvalidValue:
            raise
        except Exception as error:
            words = str(error).partition(" [")[0] or type(error).__name__
            if isinstance(error, TimeoutError):
                words = f"no answer within {ANSWERS_WITHIN} s"
            raise InvalidValue(
                f"checkpoint.folder {self.where} can't be {what} ({words[:300]}): name another, or put that right"
            ) from None


def _spec(where: str) -> Any:
    """What TensorStore opens; a folder's name is as good as a URL."""
    if "://" not in where:
        return {"driver": "file", "path": f"{Path(where).absolute()}/"}
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if where.startswith("s3://") and endpoint:
        bucket, _, path = where.removeprefix("s3://").partition("/")
        region = os.environ.get("AWS_REGION", os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
        return {"driver": "s3", "bucket": bucket, "path": f"{path}/", "endpoint": endpoint, "aws_region": region}
    return f"{where}/"
