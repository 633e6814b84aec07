"""Slurm: an array of workers that share one study, submitted by submitit.

Each worker runs trials on what its job was given as the local engine does on a machine: one for each device. Where the
job's time ends, its trials are saved, and Slurm queues it again. Without `sbatch` the workers are processes of this
machine.
"""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import optuna

# Else its import configures Python's logging anew, which closes the handlers of everybody else, and streams with them.
os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
import submitit

from convnets.errors import InvalidValue, nearest
from convnets.sweeps.engines import Ended, Screen
from convnets.sweeps.storage import only_one, storage_errors
from convnets.sweeps.study import open_study, ready_study
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trials import trials_of
from convnets.sweeps.worker import Worker
from convnets.training.interruption import Interruption
from convnets.training.this_machine import program_environment, shares_of_trials

EVERY = 1.0
"""Seconds between looks at the trials."""
STOP = "stop"
"""Of the study: whether its workers are to save and to end."""
CLUSTERS = ("slurm", "local")
LONGEST = 7 * 24 * 60
"""Minutes that a worker on this machine may take; submitit's own default is two."""


def run(sweep: Sweep, screen: Screen) -> Ended:
    """As an engine does.

    Raises:
      InvalidValue: options that Slurm does not have, a storage that can't be had, or workers that failed.
    """
    sweep = replace(sweep, workdir=sweep.workdir.absolute())
    executor = _executor(sweep, screen)
    with only_one(sweep), storage_errors(sweep), Interruption() as interruption:
        study = ready_study(sweep)
        study.set_user_attr(STOP, False)
        with _not_interrupted():
            jobs = executor.map_array(Work(sweep), range(sweep.workers))
        screen.say(f"workers: jobs {', '.join(job.job_id for job in jobs)}, logs in {sweep.workdir / 'slurm'}")
        stopping = False
        while not all(job.done() for job in jobs):
            if interruption.signal is not None and not stopping:
                stopping = True
                screen.say(f"{interruption.signal.name}: the workers save their trials, and then it ends")
                study.set_user_attr(STOP, True)
                for job in jobs:
                    if job.state == "PENDING":
                        job.cancel(check=False)
            screen.show(trials_of(study, sweep))
            time.sleep(EVERY)
        trials = trials_of(study, sweep)
        if not stopping:
            _say_failures(jobs, screen)
        return Ended(trials, interruption.signal or 0)


def _say_failures(jobs: Sequence[submitit.Job[None]], screen: Screen) -> None:
    for job in jobs:
        error = job.exception()
        if error is not None:
            last = str(error).strip().splitlines()[-1]
            screen.say(f"the worker {job.job_id} failed: {last} ({job.paths.stderr} has more)")


class Work:
    """What a job does. Called with its number in the array."""

    def __init__(self, sweep: Sweep):
        self.sweep = sweep
        self._worker: Worker | None = None

    def __call__(self, number: int) -> None:
        sweep = self.sweep
        with storage_errors(sweep):
            study = open_study(sweep, worker=1 + number)
            environment = submitit.JobEnvironment()
            shares = shares_of_trials(sweep.parallel)
            self._worker = worker = Worker(study, sweep, f"{environment.hostname} job {environment.job_id}")
            # A thread asks the study, so that this one holds no lock when a signal comes that waits for the trials.
            threading.Thread(target=_watch, args=(study, worker), daemon=True).start()
            with Interruption() as interruption:
                worker.serve(shares)
                while worker.alive:
                    if interruption.signal is not None:
                        worker.stop()
                    time.sleep(EVERY)
            if worker.failure is not None:
                raise worker.failure

    def checkpoint(self, number: int) -> submitit.helpers.DelayedSubmission:
        """At the end of the job's time, or where it makes room for another: saves, and says what to queue again."""
        if self._worker is not None:
            self._worker.stop()
            self._worker.join()
        return submitit.helpers.DelayedSubmission(Work(self.sweep), number)


def _watch(study: optuna.Study, worker: Worker) -> None:
    while not worker.stopping:
        if study.user_attrs.get(STOP):
            worker.stop()
        time.sleep(EVERY)


def _executor(sweep: Sweep, screen: Screen) -> submitit.AutoExecutor:
    options = dict(sweep.options)
    cluster = options.pop("cluster", "")
    if cluster and cluster not in CLUSTERS:
        raise InvalidValue(f"cluster is {cluster!r}, and must be one of {', '.join(CLUSTERS)}")
    if not cluster:
        cluster = "slurm" if shutil.which("sbatch") else "local"
        if cluster == "local":
            screen.say("there is no sbatch here: the workers are processes of this machine")
    if cluster == "slurm" and not sweep.storage:
        screen.say("the study is an SQLite file: where the disk is a network's, give a --storage that holds its locks")
    os.environ.update(program_environment())
    executor = submitit.AutoExecutor(sweep.workdir / "slurm", cluster=cluster)
    defaults: dict[str, Any] = {"name": sweep.workdir.name}
    if cluster == "local":
        defaults["timeout_min"] = LONGEST
    try:
        executor.update_parameters(**defaults | _parameters(options))
    except (AssertionError, NameError, TypeError, ValueError) as error:
        raise InvalidValue(f"--slurm: {str(error).splitlines()[0]}") from None
    return executor


def _parameters(options: Mapping[str, str]) -> dict[str, Any]:
    """Options as submitit takes them, numbers as such.

    Raises:
      InvalidValue: one that it does not have.
    """
    common = submitit.AutoExecutor._typed_parameters()
    own = submitit.SlurmExecutor._valid_parameters()
    found: dict[str, Any] = {}
    for name, text in options.items():
        if name not in common and name not in own:
            raise InvalidValue(f"--slurm has no option {name!r}: {nearest(name, {*common, *own})}")
        value: Any = int(text) if text.lstrip("-").isdigit() else text
        if common.get(name) is float:
            value = float(text)
        found[name if name in common else f"slurm_{name}"] = value
    return found


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Processes begun meanwhile on this machine leave Ctrl-C to the sweep, which has their trials saved."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
