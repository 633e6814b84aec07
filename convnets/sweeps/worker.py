"""What runs trials of a study on one machine: a thread for each slot, each waiting for a process.

Several workers, on several machines, may share a study. Heartbeats tell the others that a worker is alive; the trial of
one that is killed is gone on with by whoever has a free slot.
"""

import signal
import threading
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from convnets.errors import InvalidValue
from convnets.sweeps.devices import Slot
from convnets.sweeps.study import (
    ERROR,
    STEP,
    STEPS,
    STOPPED,
    SURPLUS,
    WORKER,
    go_on_with,
    has_work,
    is_surplus,
    number_of,
    reported_before,
    root_of,
    values_of,
)
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trial_process import StillTrains, TrialProcess
from convnets.sweeps.trials import UNMEASURED, value_of
from convnets.training.metrics_log import Record

POLL = 0.3
"""Seconds between looks at a trial."""
SECONDS_TO_WAIT = 1.0
"""Between looks for work, where the last trials are with other slots."""

SAVED = {status for number in (signal.SIGTERM, signal.SIGINT) for status in (128 + number, -number)}
"""Exit statuses of a training that was asked to save and to end, by us or by others."""

BEGIN, WAIT, DONE = "begin", "wait", "done"


class _Over(Exception):
    """A trial that ended without a result, for reasons that are recorded."""


class _Closed(BaseException):
    """A trial that others have closed meanwhile. Of such an exception Optuna tells the storage nothing."""


class Worker:
    """Runs trials until there are none left for it, or `stop` is called.

    Args:
      name: of the worker, as its trials record it.
    """

    def __init__(self, study: optuna.Study, sweep: Sweep, slots: Sequence[Slot], name: str):
        self.study, self.sweep, self.name = study, sweep, name
        self.failure: BaseException | None = None
        self._stopping = threading.Event()
        # Held from the look for work to the begin of the trial, so that no two slots begin the last one.
        self._choosing = threading.Lock()
        self._threads = [threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in slots]

    def start(self) -> None:
        """Begins with the first trials."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Has all trials save and end; they are queued to be gone on with."""
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
        """Whether a trial runs or may still be begun."""
        return any(thread.is_alive() for thread in self._threads)

    def _serve(self, slot: Slot) -> None:
        try:
            while not self.stopping:
                with ExitStack() as turn:
                    turn.enter_context(self._choosing)
                    work = self._work()
                    if work == BEGIN:
                        with suppress(_Closed):
                            self.study.optimize(partial(self._begin, turn, slot), n_trials=1, catch=(_Over,))
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

    def _begin(self, turn: ExitStack, slot: Slot, trial: optuna.Trial) -> float:
        """The objective."""
        if is_surplus(self.study, trial, self.sweep):
            trial.set_user_attr(SURPLUS, True)
            raise _Over
        trial.set_user_attr(WORKER, self.name)
        values = values_of(trial, self.sweep)
        turn.close()
        try:
            folder = self.sweep.folder(number_of(self.study, root_of(trial)))
            process = TrialProcess(folder, self.sweep.config_of(values), slot.environment, slot.cores)
        except InvalidValue as error:
            trial.set_user_attr(ERROR, str(error))
            raise _Over from None
        except StillTrains:
            self._go_on_later(trial)
            raise _Over from None
        try:
            return self._watch(trial, process, self.sweep.checkpoint_of(values))
        except UpdateFinishedTrialError:
            raise _Closed from None
        finally:
            # Where the storage or the trial is lost, what was learned is not.
            if process.wait(0) is None:
                process.stop()
                process.wait()

    def _watch(self, trial: optuna.Trial, process: TrialProcess, checkpoint: str) -> float:
        """Reports each evaluation, stops what is to be pruned, and says what the trial reached."""
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
            self._go_on_later(trial)
        else:
            trial.set_user_attr(ERROR, process.error())
        raise _Over

    def _go_on_later(self, trial: optuna.Trial) -> None:
        trial.set_user_attr(STOPPED, True)
        go_on_with(self.study, self._frozen(trial), again=True)

    def _frozen(self, trial: optuna.Trial) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[trial.number]

    def _report(self, trial: optuna.Trial, record: Record, history: Sequence[float], steps: int) -> None:
        # By the number of the evaluation: an epoch has other steps with another batch size.
        trial.report(history[-1], len(history))
        trial.set_user_attr(STEP, record["step"])
        trial.set_user_attr(STEPS, steps)
