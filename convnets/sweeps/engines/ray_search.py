"""What Tune asks of the study: which trial is next, and which is to be stopped; and what it tells it."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.exceptions import RayTaskError
from ray.tune import Stopper
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from convnets.errors import InvalidValue
from convnets.sweeps.engines.local import ALONE
from convnets.sweeps.engines.ray_trial import Result, trains_in
from convnets.sweeps.study import (
    ERROR,
    STEP,
    STEPS,
    STOPPED,
    WORKER,
    go_on_with,
    has_work,
    number_of,
    reported_before,
    root_of,
    values_of,
)
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trials import UNMEASURED, value_of
from convnets.training.interruption import Interruption


@dataclass
class _Begun:
    """A trial that Tune was given.

    Attributes:
      checkpoint: which it tests, "best" or "last".
      before: how many evaluations the pruner has judged in those that it goes on with.
      history: the metric by the step of each evaluation.
      started: whether it runs; else it waits for a node.
    """

    trial: optuna.Trial
    checkpoint: str
    before: int = 0
    history: dict[int, float] = field(default_factory=dict)
    started: bool = False


class StudySearch(Searcher):
    """Gives Tune the trials of the study that are not done yet, and tells the study how they end."""

    def __init__(self, study: optuna.Study, sweep: Sweep, interruption: Interruption):
        super().__init__()
        self._study, self._sweep, self._interruption = study, sweep, interruption
        self._begun: dict[str, _Begun] = {}
        self._saving: set[Path] = set()

    def suggest(self, trial_id: str) -> Result | str | None:
        """The next trial's number and values; None for "not now"; or that there are no more."""
        while self._interruption.signal is None and has_work(self._study, self._sweep):
            with warnings.catch_warnings():
                # Tune, and not Optuna, notices who is lost.
                warnings.filterwarnings("ignore", "Heartbeat of storage")
                trial = self._study.ask()
            trial.set_user_attr(WORKER, ALONE)
            values = values_of(trial, self._sweep)
            try:
                self._sweep.config_of(values)
            except InvalidValue as error:
                self._fail(trial, str(error))
                continue
            before = reported_before(self._study, trial)
            self._begun[trial_id] = _Begun(trial, self._sweep.checkpoint_of(values), before)
            return {"number": self._number(trial), "values": values}
        # At its end Tune would give those that still save ten seconds.
        return None if self._begun or self._saves() else Searcher.FINISHED

    def _number(self, trial: optuna.Trial) -> int:
        return number_of(self._study, root_of(trial))

    def _saves(self) -> bool:
        self._saving = {folder for folder in self._saving if trains_in(folder)}
        return bool(self._saving)

    @property
    def interrupted(self) -> bool:
        """Whether all trials are to stop."""
        return self._interruption.signal is not None

    @property
    def at_rest(self) -> bool:
        """Whether no trial runs or saves."""
        return not any(begun.started for begun in self._begun.values()) and not self._saves()

    def on_start(self, trial_id: str, started: bool = True) -> None:
        """A trial is with a node; or has lost it, and waits for another."""
        self._begun[trial_id].started = started

    def is_to_prune(self, trial_id: str, result: Result) -> bool:
        """Tells the study of new evaluations; whether the last of them says that the trial is to be stopped."""
        begun, last = self._begun[trial_id], None
        for step, value in result["evaluations"]:
            # One that was gone on with from a checkpoint tells of them once more.
            if step in begun.history:
                continue
            begun.history[step] = value
            # By the number of the evaluation: an epoch has other steps with another batch size.
            begun.trial.report(value, len(begun.history))
            begun.trial.set_user_attr(STEP, step)
            begun.trial.set_user_attr(STEPS, result["steps"])
            last = step
        # After the last evaluation there is nothing to save by stopping.
        judged = len(begun.history) > begun.before and last not in (None, result["steps"])
        return judged and begun.trial.should_prune()

    def on_trial_complete(self, trial_id: str, result: Result | None = None, error: bool = False) -> None:
        """A trial that is done, is to be pruned or was interrupted; not one that Tune gives up: see `on_given_up`."""
        if error or result is None:
            return
        self.is_to_prune(trial_id, result)
        begun = self._begun.pop(trial_id)
        if result["error"]:
            self._fail(begun.trial, result["error"])
        elif result["finished"]:
            value = value_of(list(begun.history.values()), begun.checkpoint, self._sweep.higher)
            if value is None:
                self._fail(begun.trial, UNMEASURED)
            else:
                self._study.tell(begun.trial, value)
        else:
            self._saving.add(self._sweep.folder(self._number(begun.trial)))
            if self.interrupted:
                self._leave(begun.trial)
            else:
                self._study.tell(begun.trial, state=TrialState.PRUNED)

    def leave_the_rest(self) -> None:
        """Queues what Tune had not come to when it ended."""
        while self._begun:
            self._leave(self._begun.popitem()[1].trial)

    def _leave(self, trial: optuna.Trial) -> None:
        trial.set_user_attr(STOPPED, True)
        self._study.tell(trial, state=TrialState.FAIL)
        go_on_with(self._study, self._study.get_trials(deepcopy=False)[trial.number], again=True)

    def on_given_up(self, trial: TuneTrial) -> None:
        """A trial that was started again too often."""
        error = trial.get_pickled_error()
        said = str(error.cause) if isinstance(error, RayTaskError) else "its worker or its node was lost"
        self._fail(self._begun.pop(trial.trial_id).trial, f"{said} ({trial.num_failures} times)")

    def _fail(self, trial: optuna.Trial, error: str) -> None:
        trial.set_user_attr(ERROR, error)
        self._study.tell(trial, state=TrialState.FAIL)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is its memory."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class StudyScheduler(FIFOScheduler):
    """Stops what the study's pruner says."""

    def __init__(self, search: StudySearch):
        super().__init__()
        self._search = search

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: Result) -> str:
        """STOP or CONTINUE."""
        prune = self._search.is_to_prune(trial.trial_id, result)
        return str(TrialScheduler.STOP if prune else TrialScheduler.CONTINUE)


class InterruptionStopper(Stopper):
    """Stops each trial at its next result once the sweep is interrupted, and the whole when all have saved."""

    def __init__(self, search: StudySearch):
        self._search = search

    def __call__(self, trial_id: str, result: Result) -> bool:
        """Whether to stop the trial."""
        return self._search.interrupted

    def stop_all(self) -> bool:
        """Whether to stop, with trials that still wait for a node."""
        return self._search.interrupted and self._search.at_rest
