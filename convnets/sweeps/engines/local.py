"""Optuna: trials on this machine, and on others where the same sweep is started with the same storage."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.trial import TrialState

from convnets.errors import InvalidValue
from convnets.sweeps.devices import slots_of_this_machine
from convnets.sweeps.engines import Ended, Screen
from convnets.sweeps.storage import storage_errors
from convnets.sweeps.study import WORKER, close, ready_study, trials_of
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.worker import Worker
from convnets.training.interruption import Interruption

EVERY = 0.5
"""Seconds between looks at the trials."""
ALONE = "the only one"
"""The name of the worker of a sweep whose storage is a file in its workdir."""


def run(sweep: Sweep, screen: Screen) -> Ended:
    """As an engine does.

    Raises:
      InvalidValue: devices or a storage that can't be had, or a workdir where the same sweep runs already.
    """
    slots = slots_of_this_machine(sweep.parallel)
    with only_one(sweep), storage_errors(sweep):
        study = ready_study(sweep, worker=int.from_bytes(os.urandom(4), "big") if sweep.storage else 0)
        if not sweep.storage:
            close_what_was_killed(study)
        name = f"{socket.gethostname()} {os.getpid()}" if sweep.storage else ALONE
        worker = Worker(study, sweep, slots, name)
        with Interruption() as interruption:
            worker.start()
            try:
                while worker.alive:
                    if interruption.signal is not None and not worker.stopping:
                        screen.say(f"{interruption.signal.name}: the trials are saved, and then it ends")
                        worker.stop()
                    screen.show(trials_of(study, sweep))
                    time.sleep(EVERY)
            finally:
                worker.stop()
                worker.join()
        if worker.failure is not None:
            raise worker.failure
        return Ended(trials_of(study, sweep), interruption.signal or 0)


@contextmanager
def only_one(sweep: Sweep) -> Iterator[None]:
    """Refuses a second sweep that would run the trials of the same file; what several share is `--storage`.

    Raises:
      InvalidValue: there is one.
    """
    if sweep.storage:
        yield
        return
    descriptor = os.open(sweep.workdir / "sweep.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidValue(
                f"a sweep runs in {sweep.workdir} already: wait for it, or give both a --storage that they share"
            ) from None
        yield
    finally:
        os.close(descriptor)


def close_what_was_killed(study: optuna.Study) -> None:
    """Goes on at once with the trials of an earlier call that was killed: nobody else runs trials of this file so.

    One without a worker was killed as it was begun, before it had a heartbeat that others could miss.
    """
    for trial in study.get_trials(deepcopy=False):
        if trial.state is TrialState.RUNNING and trial.user_attrs.get(WORKER, ALONE) == ALONE:
            close(study, trial)
