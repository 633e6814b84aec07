"""Finished runs below a folder, read from their workdirs."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from convnets.analysis.network_costs import NetworkCost, cost_of
from convnets.cli.experiments import override
from convnets.errors import InvalidValue
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir

ACCURACY = "top1"
"""The figure of `summary.json` that runs are compared by."""


@dataclass(frozen=True)
class FinishedRun:
    """A run that has been tested.

    Attributes:
      name: of its workdir, from the folder that was searched.
      network: its name in `create`.
      data: the name of its data set.
      accuracy: top-1 of the test images, in [0, 1].
      cost: of its network, on its images.
    """

    name: str
    network: str
    data: str
    accuracy: float
    cost: NetworkCost


def find_workdirs(folder: Path, what: str = "--runs") -> list[Path]:
    """The workdirs in a folder, however deep, in the order of their names.

    Args:
      what: the name of what was given, for the error.

    Raises:
      InvalidValue: no such folder.
    """
    if not folder.is_dir():
        raise InvalidValue(f"{what} is {str(folder)!r}, and there is no such folder")
    found = []
    for place, folders, files in os.walk(folder):
        if {"config.json", "data.json", "summary.json"} & set(files):
            found.append(Path(place))
            # What a workdir holds is its own; checkpoints are many files.
            folders.clear()
    return sorted(found)


class RunReader:
    """Reads finished runs; counts each network once, however many runs it has."""

    def __init__(self) -> None:
        self._costs: dict[str, NetworkCost] = {}

    def read(self, place: Path, name: str) -> FinishedRun:
        """The run of a workdir.

        Raises:
          ConvnetsError: a file that is missing or damaged, a test that hasn't been yet, or a config or network that
            this version does not have.
        """
        workdir = Workdir(place)
        try:
            config, info = override(workdir.config(), []), workdir.info()
            accuracy = _accuracy(workdir)
        except OSError as error:
            raise InvalidValue(f"{error.filename} can't be read: {error.strerror}") from None
        key = json.dumps([config.task.to_dict(), config.network.to_dict(), config.augmentation, asdict(info)])
        if key not in self._costs:
            model = build_model(config, info)
            self._costs[key] = cost_of(model.network, model.image_shape)
        return FinishedRun(name, config.network.name, info.name, accuracy, self._costs[key])


def _accuracy(workdir: Workdir) -> float:
    if not workdir.summary_file.exists():
        raise InvalidValue("it is not finished: it has no summary.json")
    try:
        accuracy = json.loads(workdir.summary_file.read_text())[ACCURACY]
    except (ValueError, KeyError, TypeError):
        raise InvalidValue(f"its summary.json is damaged, or of another task: it has no {ACCURACY}") from None
    if not isinstance(accuracy, int | float) or not 0 <= accuracy <= 1:
        raise InvalidValue(f"its {ACCURACY} is {accuracy!r}, and must lie in [0, 1]")
    return float(accuracy)
