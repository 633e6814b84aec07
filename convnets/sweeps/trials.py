"""How the trials of a sweep stand, whatever engine runs them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from convnets.sweeps.space import SEED, Values
from convnets.sweeps.study import ERROR, LOST, STEP, STEPS, SURPLUS, known_values_of, root_of, times_killed
from convnets.sweeps.sweep import Sweep

WAITING, RUNNING, COMPLETE, PRUNED, FAILED = "waiting", "running", "complete", "pruned", "failed"

_STATES = {
    TrialState.WAITING: WAITING,
    TrialState.RUNNING: RUNNING,
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
}


@dataclass(frozen=True)
class Trial:
    """A trial of a sweep.

    Attributes:
      number: from 0, in the order in which the trials were made.
      values: of the fields that the sweep sets, but for the constants.
      folder: its workdir.
      state: waiting (not started, or stopped and to be resumed), running, complete, pruned or failed.
      history: the validation metric of each evaluation, in order.
      value: of `history` that of the checkpoint that the run tests, the best or the last (`evaluation.checkpoint`);
        None before the first evaluation.
      step, steps: of the last evaluation, and of the whole training; 0 before they are known.
      seconds: since it was first started.
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


def trials_of(study: optuna.Study, sweep: Sweep) -> list[Trial]:
    """The sweep's trials, by their numbers."""
    groups: dict[int, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        if SURPLUS not in trial.user_attrs:
            groups.setdefault(root_of(trial), []).append(trial)
    return [_trial(number, groups[root], sweep) for number, root in enumerate(sorted(groups))]


def _trial(number: int, parts: list[FrozenTrial], sweep: Sweep) -> Trial:
    latest = parts[-1]
    attributes = latest.user_attrs
    # The one before may have had evaluations that this one has not reported yet.
    history = max(([value for _, value in sorted(part.intermediate_values.items())] for part in parts), key=len)
    error = attributes.get(ERROR, "")
    if latest.state is TrialState.FAIL and not error:
        last = f", the last time {attributes[LOST]}" if LOST in attributes else ""
        error = f"its worker was killed {times_killed(parts)} times{last}"
    values = known_values_of(latest, sweep)
    so_far = value_of(history, sweep.checkpoint_of(values), sweep.higher)
    complete = latest.state is TrialState.COMPLETE
    return Trial(
        number=number,
        values=values,
        folder=sweep.folder(number),
        state=_STATES[latest.state],
        history=history,
        value=latest.value if complete else so_far,
        step=attributes.get(STEP, 0),
        steps=attributes.get(STEPS, 0),
        seconds=sum(map(_seconds, parts)),
        error=error,
        test=_test_of(sweep.folder(number), sweep.metric) if complete else None,
    )


def _seconds(trial: FrozenTrial) -> float:
    if trial.datetime_start is None:
        return 0.0
    return ((trial.datetime_complete or datetime.now()) - trial.datetime_start).total_seconds()


def _test_of(folder: Path, metric: str) -> float | None:
    """The metric on the test split that the run in a workdir ended with; None before it has."""
    try:
        value = json.loads((folder / "summary.json").read_text()).get(metric)
    except (OSError, ValueError, AttributeError):
        return None
    return float(value) if isinstance(value, int | float) else None


def value_of(history: Sequence[float], checkpoint: str, higher: bool) -> float | None:
    """The metric of the checkpoint that a run tests, "best" or "last"."""
    if not history:
        return None
    if checkpoint == "last":
        return history[-1]
    return max(history) if higher else min(history)


def without_seed(values: Values) -> Values:
    """What trials that differ in the seed alone have in common."""
    return {name: value for name, value in values.items() if name != SEED}
