"""Ray: the trials of a sweep on the nodes of a cluster.

The worker is the one that runs trials on one machine, so that another engine may resume the sweep. Ray says where they
run: each trial's process is started by an actor that has its share of a node. A trial whose node is lost is resumed on
another, from its last checkpoint.
"""

import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ml_collections import ConfigDict
from ray.exceptions import RayError, RayTaskError

from convnets.errors import InvalidValue
from convnets.sweeps.engines import Ended, Screen
from convnets.sweeps.engines.local import run_trials
from convnets.sweeps.engines.ray_cluster import check_shared, cluster, share_of_a_trial, trials_at_once
from convnets.sweeps.storage import only_one, storage_errors
from convnets.sweeps.study import ALONE, close_all_killed, has_work, ready_study
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trial_process import Lost, TrialProcess
from convnets.sweeps.trials import trials_of
from convnets.sweeps.worker import Worker
from convnets.training.metrics_log import Record
from convnets.training.this_machine import Share

POLL = 1.0
"""Seconds between two answers of an actor, at most: it is asked to stop between them."""
FORWARDED = ("JAX_", "XLA_", "CONVNETS_")
"""How the variables begin that trials have from the sweep, and not from the node."""


def run(sweep: Sweep, screen: Screen) -> Ended:
    """As an engine does; `address` of its options is that of a cluster.

    Raises:
      InvalidValue: a cluster that can't be joined or does not share the workdir, a storage that can't be had, or a
        workdir where the same sweep runs already.
    """
    sweep = replace(sweep, workdir=sweep.workdir.resolve())
    with only_one(replace(sweep, storage="")), storage_errors(sweep):
        study = ready_study(sweep)
        close_all_killed(study)
        if not has_work(study, sweep):
            return Ended(trials_of(study, sweep))
        with cluster(sweep.options.get("address", "")):
            check_shared(sweep)
            resources = share_of_a_trial(sweep.parallel)
            environment = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
            if sweep.parallel > 1:
                environment["NPROC"] = str(resources["CPU"])
            worker = Worker(study, sweep, ALONE, partial(RemoteProcess, resources, screen))
            served = 0

            def more() -> Sequence[Share]:
                """As many as nodes have room for that have joined the cluster since."""
                nonlocal served
                new = max(0, min(trials_at_once(resources), sweep.trials) - served)
                served += new
                return [Share(environment)] * new

            return run_trials(worker, more(), screen, more)


@dataclass(frozen=True)
class Look:
    """How a trial's process stands: what `TrialProcess` answers."""

    status: int | None
    evaluations: Sequence[Record]
    steps: int
    error: str


class Trainer:
    """An actor: has the process of one trial on the node where Ray puts it. Ray calls one method at a time."""

    def begin(self, place: str, folder: Path, config: ConfigDict, share: Share) -> None:
        """Starts the process.

        Args:
          place: the folder that the sweep was started in, to which paths in its config are relative.

        Raises:
          InvalidValue, StillTrains: as `TrialProcess`; or a node that does not have the sweep's folders.
        """
        for shared in (folder.parents[1], Path(place)):
            if not shared.is_dir():
                raise InvalidValue(f"{shared} is not on {socket.gethostname()}: put it where all nodes share it")
        os.chdir(place)
        self._process = TrialProcess(folder, config, share)

    def look(self) -> Look:
        """How the process stands, at its end or after `POLL` seconds."""
        status = self._process.wait(POLL)
        error = self._process.error() if status else ""
        return Look(status, self._process.new_evaluations(), self._process.steps, error)

    def stop(self) -> None:
        """As `TrialProcess`."""
        self._process.stop()


class RemoteProcess:
    """The process of a trial that an actor has. Asked as a `TrialProcess`; `wait` also raises what that does at once.

    A process that a signal ended has lost its machine or its memory, unless it was asked to stop: it counts as lost.

    Args:
      resources: what of a node the trial is given.
    """

    def __init__(self, resources: dict[str, int], screen: Screen, folder: Path, config: ConfigDict, share: Share):
        others = {name: count for name, count in resources.items() if name not in ("CPU", "GPU")}
        options = {"num_cpus": resources["CPU"], "num_gpus": resources.get("GPU", 0), "resources": others}
        self._actor: Any = ray.remote(Trainer).options(**options).remote()
        self._answer = self._actor.begin.remote(os.getcwd(), folder, config, share)
        self._look: Look | None = None
        self._begun = self._stopping = False
        self._status: int | None = None
        self._screen, self._name = screen, folder.name

    @property
    def steps(self) -> int:
        """As `TrialProcess`."""
        return self._look.steps if self._look else 0

    def wait(self, seconds: float | None = None) -> int | None:
        """As `TrialProcess`; before there is a node for it, it waits too."""
        while self._status is None:
            if not ray.wait([self._answer], timeout=seconds)[0]:
                break
            self._take()
            if seconds is not None:
                break
        return self._status

    def _take(self) -> None:
        try:
            look = ray.get(self._answer)
        except RayTaskError as error:
            self._end(1)
            raise error.cause from None
        except RayError as error:
            if self._stopping and not self._begun:
                self._end(128 + signal.SIGTERM)
                return
            raise self._lost(str(error).strip().splitlines()[0]) from None
        self._begun = True
        if look is not None:
            self._look = look
            status = look.status
            if status is not None and not self._stopping and (status < 0 or status == 128 + signal.SIGTERM):
                raise self._lost(look.error)
            if status is not None:
                self._end(status)
                return
        self._answer = self._actor.look.remote()

    def _lost(self, words: str) -> Lost:
        self._end(-signal.SIGKILL)
        self._screen.say(f"trial {self._name} has lost its process or its node ({words})")
        return Lost(words)

    def _end(self, status: int) -> None:
        """Notes that it has ended, and gives its share of the node back."""
        self._status = status
        ray.kill(self._actor)

    def new_evaluations(self) -> list[Record]:
        """As `TrialProcess`."""
        if self._look is None:
            return []
        evaluations, self._look = self._look.evaluations, replace(self._look, evaluations=())
        return list(evaluations)

    def stop(self) -> None:
        """As `TrialProcess`; a trial that waits for a node ends at once."""
        self._stopping = True
        with suppress(RayError):
            if self._begun:
                self._actor.stop.remote()
            else:
                ray.kill(self._actor)

    def error(self) -> str:
        """As `TrialProcess`."""
        return self._look.error if self._look else ""
