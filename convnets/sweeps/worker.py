"""What runs the trials of a study: a thread for each that runs at once, which waits for the trial's process.

Several workers, on several machines, may share a study. Heartbeats tell the others that a worker is alive; the trial of
one that is killed is resumed by whoever has room.
"""

import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import optuna
from ml_collections import ConfigDict
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from convnets.errors import InvalidValue
from convnets.sweeps.study import (
    ERROR,
    LOST,
    STEP,
    STEPS,
    STOPPED,
    SURPLUS,
    WORKER,
    close_killed,
    has_work,
    is_surplus,
    number_of,
    reported_before,
    requeue,
    root_of,
    values_of,
)
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trial_process import Lost, StillTrains, TrainingProcess, TrialProcess
from convnets.sweeps.trials import value_of
from convnets.training.metrics_log import Record
from convnets.training.this_machine import Share

POLL = 0.3
"""Seconds between looks at a trial."""
SECONDS_TO_WAIT = 1.0
"""Between looks for work, where the last trials are with others."""

SAVED = {status for number in (signal.SIGTERM, signal.SIGINT) for status in (128 + number, -number)}
"""Exit statuses of a training that was asked to save and to end, by us or by others."""

UNMEASURED = "it came to its end without an evaluation on the validation split"
"""The error of a trial that can't be compared."""

BEGIN, WAIT, DONE = "begin", "wait", "done"


class _Over(Exception):
    """A trial that ended without a result, for reasons that are recorded."""


class _Closed(BaseException):
    """A trial that is closed in the study already. Of such an exception Optuna tells the storage nothing."""


class Worker:
    """Runs trials until there are none left for it, or `stop` is called.

    Args:
      name: of the worker, as its trials record it.
      begin: starts a trial's process, in a workdir, with a config and a share of a machine.

    Attributes:
      failure: the error that stopped it.
    """

    def __init__(
        self,
        study: optuna.Study,
        sweep: Sweep,
        name: str,
        begin: Callable[[Path, ConfigDict, Share], TrainingProcess] = TrialProcess,
    ):
        self.study, self.sweep, self.name = study, sweep, name
        self.failure: BaseException | None = None
        self._begin = begin
        self._stopping = threading.Event()
        # Held from the look for work to the begin of the trial, so that no two threads begin the last one.
        self._choosing = threading.Lock()
        self._threads: list[threading.Thread] = []

    def serve(self, shares: Sequence[Share]) -> None:
        """Starts to run trials, one at a time in each of these shares, besides those it serves already."""
        for share in shares:
            self._threads.append(threading.Thread(target=self._serve, args=(share,), daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Has all trials save and end; they are queued to be resumed."""
        self._stopping.set()

    def join(self) -> None:
        """Waits for the last trial."""
        for thread in self._threads:
            thread.join()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called, or an error came."""
        return self._stopping.is_set()

    @property
    def alive(self) -> bool:
        """Whether a trial runs or may still be started."""
        return any(thread.is_alive() for thread in self._threads)

    def _serve(self, share: Share) -> None:
        try:
            while not self.stopping:
                with ExitStack() as turn:
                    turn.enter_context(self._choosing)
                    work = self._work()
                    if work == BEGIN:
                        with suppress(_Closed):
                            self.study.optimize(partial(self._run, turn, share), n_trials=1, catch=(_Over,))
                if work == DONE:
                    break
                if work == WAIT:
                    self._stopping.wait(SECONDS_TO_WAIT)
        except BaseException as error:
            # For whoever waits for the worker; the other trials are saved.
            self.failure = error
            self._stopping.set()

    def _work(self) -> str:
        """Whether there is a trial to begin, or may be one."""
        if self.stopping:
            return DONE
        if has_work(self.study, self.sweep):
            return BEGIN
        if any(trial.state is TrialState.RUNNING for trial in self.study.get_trials(deepcopy=False)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                optuna.storages.fail_stale_trials(self.study)
            return WAIT
        return DONE

    def _run(self, turn: ExitStack, share: Share, trial: optuna.Trial) -> float:
        """The objective."""
        if is_surplus(self.study, trial, self.sweep):
            trial.set_user_attr(SURPLUS, True)
            raise _Over
        trial.set_user_attr(WORKER, self.name)
        values = values_of(trial, self.sweep)
        turn.close()
        try:
            folder = self.sweep.folder(number_of(self.study, root_of(trial)))
            process = self._begin(folder, self.sweep.config_of(values), share)
            try:
                return self._watch(trial, process, self.sweep.checkpoint_of(values))
            finally:
                # Where the storage or the trial is lost, what was learned is not.
                if process.wait(0) is None:
                    process.stop()
                    process.wait()
        except InvalidValue as error:
            trial.set_user_attr(ERROR, str(error))
            raise _Over from None
        except StillTrains:
            self._resume_later(trial)
            raise _Over from None
        except Lost as error:
            with suppress(UpdateFinishedTrialError):
                trial.set_user_attr(LOST, str(error))
                close_killed(self.study, trial.number)
            raise _Closed from None
        except UpdateFinishedTrialError:
            raise _Closed from None

    def _watch(self, trial: optuna.Trial, process: TrainingProcess, checkpoint: str) -> float:
        """Reports each evaluation, stops what is to be pruned, and returns what the trial reached."""
        history: list[float] = []
        before = reported_before(self.study, trial)
        pruned = stopped = False
        status = None
        while status is None:
            status = process.wait(POLL)
            records = process.new_evaluations()
            for record in records:
                history.append(record[self.sweep.metric])
                self._report(trial, record, history, process.steps)
            # After the last evaluation there is nothing to save by stopping.
            judged = len(history) > before and records and records[-1]["step"] != process.steps
            if judged and not pruned and trial.should_prune():
                pruned = True
                process.stop()
            if self.stopping and not stopped:
                stopped = True
                process.stop()
        if self._frozen(trial).state.is_finished():
            raise _Closed
        if status == 0:
            value = value_of(history, checkpoint, self.sweep.higher)
            if value is None:
                trial.set_user_attr(ERROR, UNMEASURED)
                raise _Over
            return value
        if pruned:
            raise optuna.TrialPruned
        if stopped or status in SAVED:
            self._resume_later(trial)
        else:
            trial.set_user_attr(ERROR, process.error())
        raise _Over

    def _resume_later(self, trial: optuna.Trial) -> None:
        trial.set_user_attr(STOPPED, True)
        requeue(self.study, self._frozen(trial), again=True)

    def _frozen(self, trial: optuna.Trial) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[trial.number]

    def _report(self, trial: optuna.Trial, record: Record, history: Sequence[float], steps: int) -> None:
        # By the number of the evaluation: an epoch has other steps with another batch size.
        trial.report(history[-1], len(history))
        trial.set_user_attr(STEP, record["step"])
        trial.set_user_attr(STEPS, steps)
