"""What runs the trials of a sweep: a module each, imported when it is asked for.

The module of an engine has `run(sweep, screen) -> Ended`. It runs the trials of the sweep that are not done yet, each
as a `TrialProcess`, until all are done or a first SIGTERM or Ctrl-C has stopped and saved them, and shows them.
The study remembers the rest. Where it can't run, for a storage that can't be reached or an option that it does not
have, it raises `InvalidValue` before any trial is started.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol

from convnets.errors import InvalidValue, nearest
from convnets.sweeps.trials import Trial


class Screen(Protocol):
    """Where the trials are shown while they run."""

    def show(self, trials: Sequence[Trial]) -> None:
        """Shows how all trials stand; called about once a second."""

    def say(self, line: str) -> None:
        """A line that stays."""


@dataclass(frozen=True)
class Ended:
    """How a call of an engine ended.

    Attributes:
      trials: all of the sweep, those of earlier calls too.
      interrupted: the signal that stopped it; 0 if all trials are done.
    """

    trials: Sequence[Trial]
    interrupted: int = 0


@dataclass(frozen=True)
class Entry:
    """Where an engine is, the packages that it needs besides the project's own, and the command that installs them."""

    module: str
    packages: tuple[str, ...]
    install: str


ENGINES = {
    "local": Entry("convnets.sweeps.engines.local", (), "pip install -r requirements.txt"),
    "ray": Entry("convnets.sweeps.engines.ray_actors", ("ray",), "pip install -r requirements-ray.txt"),
    "slurm": Entry("convnets.sweeps.engines.slurm", ("submitit",), "pip install -r requirements-slurm.txt"),
}


def engine(name: str) -> ModuleType:
    """The module of an engine, by its name.

    Raises:
      InvalidValue: an unknown one, or one whose packages are not installed.
    """
    if name not in ENGINES:
        raise InvalidValue(f"unknown engine {name!r}: {nearest(name, ENGINES)}")
    entry = ENGINES[name]
    missing = [package for package in entry.packages if find_spec(package) is None]
    if missing:
        raise InvalidValue(f"the engine {name!r} needs {' and '.join(missing)}: {entry.install}")
    try:
        return import_module(entry.module)
    except ImportError as error:
        # A package may be there without what its extras name, as by `pip install ray`.
        words = str(error).strip().splitlines()[0]
        raise InvalidValue(f"the engine {name!r} needs more than is installed ({words}): {entry.install}") from None
