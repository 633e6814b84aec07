"""Copies of a run's checkpoints elsewhere: in a bucket or another folder. All that we know of TensorStore is here."""

import os
from pathlib import Path
from typing import Any

import tensorstore as ts
from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.training.config import complete
from convnets.training.config_file import differences, from_text, to_json

WHOLE = "whole"
"""The file that is written last into the copy of a checkpoint, and removed first."""

CONFIG = "config.json"
METRICS = "metrics.jsonl"

ANSWERS_WITHIN = 60
"""Seconds after which a bucket counts as one that can't be reached."""


class DistantCheckpoints:
    """Copies of the checkpoints in a local folder, and of the run's metrics, so that neither is lost with a machine.

    A copy counts once it is whole. The folder is one run's: it holds its config, and another is refused.

    Args:
      where: a folder, or a URL that TensorStore knows (gs://bucket/folder, s3://bucket/folder).
      local: the folder of the checkpoints that are copied.
      metrics: the run's metrics.jsonl.

    Raises:
      InvalidValue: a URL of another kind.
    """

    def __init__(self, where: str, local: Path, metrics: Path):
        self.where, self.local, self.metrics = where.rstrip("/"), local, metrics
        try:
            self._store = ts.KvStore.open(_spec(self.where)).result(timeout=ANSWERS_WITHIN)
        except Exception as error:
            raise InvalidValue(self._complaint("opened", error)) from None

    def check(self, config: ConfigDict) -> None:
        """Refuses a folder that another run has claimed, or that can't be read.

        Raises:
          InvalidValue: with the fields that differ, or the reason.
        """
        there = self._read(CONFIG, within=ANSWERS_WITHIN)
        if there is None:
            if self._steps():
                raise InvalidValue(f"checkpoint.folder {self.where} holds checkpoints but no {CONFIG}: name another")
            return
        # Fields that are newer than the copies have the values that the run had without them.
        different = differences(complete(from_text(there.decode(), f"{self.where}/{CONFIG}")), config)
        if different:
            raise InvalidValue(
                f"checkpoint.folder {self.where} holds checkpoints of a run of another config "
                f"({'; '.join(different)}): name another folder, or leave these fields as they are there"
            )

    def claim(self, config: ConfigDict) -> None:
        """Makes the folder this run's.

        Raises:
          InvalidValue: a folder that can't be written.
        """
        try:
            self._store.write(CONFIG, to_json(config).encode()).result(timeout=ANSWERS_WITHIN)
        except Exception as error:
            raise InvalidValue(self._complaint("written", error)) from None

    def fetch(self) -> None:
        """Brings the checkpoints that the local folder lacks; and the metrics, where there are none or older ones."""
        here = self._local_steps()
        missing = [step for step in self._steps() if step not in here]
        for step in missing:
            # Renamed when it is whole, as Orbax does; a name that it would not take for a checkpoint until then.
            temporary = self.local / f".{step}.fetched"
            for name in self._files(step):
                content = self._read(f"{step}/{name}")
                assert content is not None
                write_atomically(temporary / name, content)
            temporary.rename(self.local / str(step))
        if missing and (not self.metrics.exists() or max(missing) > max(here, default=0)):
            write_atomically(self.metrics, self._read(METRICS) or b"")

    def catch_up(self) -> None:
        """Copies the local checkpoints that are not there: of a copy that failed or was killed, or from before it all.

        Raises:
          InvalidValue: a folder that can't be written.
        """
        there = self._steps()
        for step in sorted(self._local_steps()):
            if step not in there:
                self.update(step)

    def update_metrics(self) -> None:
        """Copies the metrics alone.

        Raises:
          InvalidValue: a folder that can't be written.
        """
        try:
            self._store.write(METRICS, self.metrics.read_bytes()).result()
        except Exception as error:
            raise InvalidValue(self._complaint("written", error)) from None

    def update(self, step: int) -> None:
        """Copies a checkpoint with the metrics, and removes the copies of those that are no longer in the local folder.

        Raises:
          InvalidValue: a folder that can't be written.
        """
        folder = self.local / str(step)
        try:
            writes = [
                self._store.write(f"{step}/{path.relative_to(folder)}", path.read_bytes())
                for path in folder.rglob("*")
                if path.is_file()
            ]
            writes.append(self._store.write(METRICS, self.metrics.read_bytes()))
            for write in writes:
                write.result()
            self._store.write(f"{step}/{WHOLE}", b"").result()
            for old in self._steps():
                if not (self.local / str(old)).exists():
                    self._store.write(f"{old}/{WHOLE}", None).result()
                    self._store.delete_range(ts.KvStore.KeyRange(f"{old}/", f"{old}0")).result()
        except Exception as error:
            raise InvalidValue(self._complaint("written", error)) from None

    def _steps(self) -> list[int]:
        names = (key.decode().partition("/") for key in self._list())
        return sorted(int(step) for step, _, name in names if name == WHOLE and step.isdigit())

    def _local_steps(self) -> set[int]:
        return {int(path.name) for path in self.local.glob("*") if path.name.isdigit()}

    def _files(self, step: int) -> list[str]:
        names = (key.decode().partition("/") for key in self._list())
        return [name for folder, _, name in names if folder == str(step) and name != WHOLE]

    def _list(self) -> list[bytes]:
        try:
            return self._store.list().result(timeout=ANSWERS_WITHIN)
        except Exception as error:
            raise InvalidValue(self._complaint("listed", error)) from None

    def _read(self, name: str, within: float | None = None) -> bytes | None:
        try:
            found = self._store.read(name).result(timeout=within)
        except Exception as error:
            raise InvalidValue(self._complaint("read", error)) from None
        return found.value if found.state == "value" else None

    def _complaint(self, what: str, error: Exception) -> str:
        words = str(error).partition(" [")[0] or type(error).__name__
        if isinstance(error, TimeoutError):
            words = f"no answer within {ANSWERS_WITHIN} s"
        return f"checkpoint.folder {self.where} can't be {what} ({words[:300]}): name another, or put that right"


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
