"""What is known of a trial, whatever engine runs it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convnets.sweeps.space import SEED, Values

WAITING, RUNNING, COMPLETE, PRUNED, FAILED = "waiting", "running", "complete", "pruned", "failed"

UNMEASURED = "it came to its end without an evaluation on the validation split"
"""The error of a trial that can't be compared."""


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
      number: from 0, in the order in which the trials were made.
      values: of the fields that the sweep sets, but for the constants.
      folder: its workdir.
      state: waiting (not begun, or stopped and to be gone on with), running, complete, pruned or failed.
      history: the validation metric of each evaluation, in order.
      value: of `history` that of the checkpoint that the run tests, the best or the last (`evaluation.checkpoint`);
        None before the first evaluation.
      step, steps: of the last evaluation, and of the whole training; 0 before they are known.
      seconds: since it was first begun.
      error: of a failed one.
      test: the metric on the test split, once it is complete.
    """

    number: int
    values: Values
    folder: Path
    state: str
    history: Sequence[float] = ()
    value: float | None = None
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    error: str = ""
    test: float | None = None


def test_of(folder: Path, metric: str) -> float | None:
    """The metric on the test split that the run in a workdir ended with; None before it has."""
    try:
        value = json.loads((folder / "summary.json").read_text()).get(metric)
    except (OSError, ValueError, AttributeError):
        return None
    return float(value) if isinstance(value, int | float) else None


def value_of(history: Sequence[float], checkpoint: str, higher: bool) -> float | None:
    """The metric of the checkpoint that a run tests.

    Args:
      checkpoint: "best" or "last".
    """
    if not history:
        return None
    if checkpoint == "last":
        return history[-1]
    return max(history) if higher else min(history)


def without_seed(values: Values) -> Values:
    """What trials that differ in the seed alone have in common."""
    return {name: value for name, value in values.items() if name != SEED}
