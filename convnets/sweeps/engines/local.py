"""Optuna: trials on this machine, and on others where the same sweep is started with the same storage."""

import os
import socket
import time
from collections.abc import Callable, Sequence

from convnets.sweeps.engines import Ended, Screen
from convnets.sweeps.storage import only_one, storage_errors
from convnets.sweeps.study import ALONE, close_all_killed, ready_study
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trials import trials_of
from convnets.sweeps.worker import Worker
from convnets.training.interruption import Interruption
from convnets.training.this_machine import Share, shares_of_trials

EVERY = 0.5
"""Seconds between looks at the trials."""


def run(sweep: Sweep, screen: Screen) -> Ended:
    """As an engine does.

    Raises:
      InvalidValue: devices or a storage that can't be had, or a workdir where the same sweep runs already.
    """
    shares = shares_of_trials(sweep.parallel)
    with only_one(sweep), storage_errors(sweep):
        study = ready_study(sweep, worker=int.from_bytes(os.urandom(4), "big") if sweep.storage else 0)
        if not sweep.storage:
            close_all_killed(study)
        worker = Worker(study, sweep, f"{socket.gethostname()} {os.getpid()}" if sweep.storage else ALONE)
        return run_trials(worker, shares, screen)


def run_trials(
    worker: Worker, shares: Sequence[Share], screen: Screen, more: Callable[[], Sequence[Share]] = tuple
) -> Ended:
    """Runs trials until all are done, or a first SIGTERM or Ctrl-C has stopped and saved them.

    Args:
      more: says which shares there are besides since last asked.
    """
    with Interruption() as interruption:
        try:
            worker.serve(shares)
            while worker.alive:
                if interruption.signal is not None and not worker.stopping:
                    screen.say(f"{interruption.signal.name}: the trials are saved, and then it ends")
                    worker.stop()
                elif not worker.stopping:
                    worker.serve(more())
                screen.show(trials_of(worker.study, worker.sweep))
                time.sleep(EVERY)
        finally:
            worker.stop()
            worker.join()
    if worker.failure is not None:
        raise worker.failure
    return Ended(trials_of(worker.study, worker.sweep), interruption.signal or 0)
