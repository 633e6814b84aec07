"""What is known of a trial, whatever engine runs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convnets.sweeps.space import SEED, Values

WAITING, RUNNING, COMPLETE, PRUNED, FAILED = "waiting", "running", "complete", "pruned", "failed"


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
      number: from 0, in the order in which the trials were made.
      values: of the fields that the sweep sets, but for the constants.
      folder: its workdir.
      state: waiting (not begun, or stopped and to be gone on with), running, complete, pruned or failed.
      history: step and validation metric of each evaluation, in order.
      value: the metric of the checkpoint that the run tests, once it is complete; of a pruned one the best so far.
      steps: of the whole training; 0 before it is known.
      seconds: since it was first begun.
      error: of a failed one.
    """

    number: int
    values: Values
    folder: Path
    state: str
    history: Sequence[tuple[int, float]] = ()
    value: float | None = None
    steps: int = 0
    seconds: float = 0.0
    error: str = ""


def without_seed(values: Values) -> Values:
    """What trials that differ in the seed alone have in common."""
    return {name: value for name, value in values.items() if name != SEED}


def best_first(trials: Sequence[Trial], higher: bool) -> list[Trial]:
    """The complete trials, the best metric first."""
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.value is not None]
    return sorted(complete, key=lambda trial: (-trial.value if higher else trial.value, trial.number))  # type: ignore[operator]
