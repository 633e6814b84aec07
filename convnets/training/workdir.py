"""A run's folder: what is where, and whose it is."""

import io
import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from convnets.data.source import SourceInfo
from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.layers.implementation import implementation
from convnets.training.config import complete, differences, from_json, to_json

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


class Workdir:
    """Paths, and the small files that describe a run."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.config_file = self.folder / "config.json"
        self.data_file = self.folder / "data.json"
        self.environment_file = self.folder / "environment.json"
        self.metrics_file = self.folder / "metrics.jsonl"
        self.statistics_file = self.folder / "statistics.json"
        self.summary_file = self.folder / "summary.json"
        self.report_file = self.folder / "report.html"
        self.events = self.folder / "events"
        self.initialization_file = self.folder / "initialization.json"
        self.checkpoints = self.folder / "checkpoints"
        self.plots = self.folder / "plots"

    def predictions_file(self, split: str) -> Path:
        """Where the predictions of a split are kept."""
        return self.folder / f"predictions_{split}.npz"

    def refuse_file(self) -> None:
        """Refuses a file in the place of the folder.

        Raises:
          InvalidValue: there is one.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise InvalidValue(f"the workdir {self.folder} is a file: name a folder")

    def check(self, config: ConfigDict) -> None:
        """Refuses a config other than the one that the folder holds already.

        Raises:
          InvalidValue: another config, the fields that differ being named; or a folder that can't be one's own.
        """
        self.refuse_file()
        if self.config_file.exists():
            # Fields that are newer than the run have the values that it had without them.
            different = differences(complete(self.config()), config)
            if different:
                raise InvalidValue(
                    f"the workdir {self.folder} holds a run of another config ({'; '.join(different)}): "
                    "name another --workdir, or leave these fields as they are there"
                )
        elif self.checkpoints.exists():
            raise InvalidValue(
                f"the workdir {self.folder} holds checkpoints but no config.json: name another --workdir"
            )

    def check_data(self, info: SourceInfo) -> None:
        """Refuses data other than those that the run in this folder began with, if there is one.

        Raises:
          InvalidValue: other classes, numbers of examples, files, order or labels.
        """
        if not self.data_file.exists():
            return
        began, now = (each.to_json() for each in (self.info(), info))
        different = [name for name in ("classes", "splits") if began[name] != now[name]]
        facts = "; ".join(f"{name} {_short(began[name])} then and {_short(now[name])} now" for name in different)
        if not different and began["digest"] != now["digest"]:
            facts = "their files, their order or their labels are others"
        if facts:
            raise InvalidValue(
                f"the data of the run in {self.folder} have changed since it began ({facts}): put them back, or name "
                "another --workdir"
            )

    def claim(self, config: ConfigDict, info: SourceInfo, derived: dict[str, Any]) -> None:
        """Writes what describes the run: its config, its data, and where it runs.

        Raises:
          InvalidValue: a folder that can't be made or written.
        """
        try:
            write_atomically(self.config_file, to_json(config))
        except OSError as error:
            raise InvalidValue(f"the workdir {self.folder} can't be written: {error.strerror}") from None
        write_atomically(self.data_file, json.dumps(info.to_json(), indent=2))
        write_atomically(self.environment_file, json.dumps(environment() | {"derived": derived}, indent=2))

    def config(self) -> ConfigDict:
        """The config of the run in this folder.

        Raises:
          InvalidValue: no run in this folder, or a damaged file.
        """
        if not self.config_file.exists():
            raise InvalidValue(f"{self.folder} is not a workdir: it has no config.json")
        return from_json(self.config_file)

    def info(self) -> SourceInfo:
        """The data set that the run was trained on.

        Raises:
          InvalidValue: a run that has not started, or a damaged file.
        """
        if not self.data_file.exists():
            raise InvalidValue(f"{self.folder} is not a workdir of a started run: it has no data.json")
        try:
            return SourceInfo.from_json(json.loads(self.data_file.read_text()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidValue(f"{self.data_file} is damaged: {error}") from None

    def save_predictions(self, split: str, predictions: dict[str, np.ndarray]) -> None:
        """Keeps a split's predictions, atomically."""
        path = self.predictions_file(split)
        content = io.BytesIO()
        np.savez_compressed(content, **predictions)  # type: ignore[arg-type]
        write_atomically(path, content.getvalue())

    def load_predictions(self, split: str) -> dict[str, np.ndarray] | None:
        """A split's predictions, or None before its evaluation."""
        path = self.predictions_file(split)
        if not path.exists():
            return None
        with np.load(path) as saved:
            return dict(saved)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def environment() -> dict[str, Any]:
    """What the run stands on: versions and devices."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "devices": [device.device_kind for device in jax.devices()],
        "kernels": implementation(),
        "processes": jax.process_count(),
    }
