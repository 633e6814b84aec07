"""One trial on Ray: an actor of Tune's that has a process of `launch.py train` run on the node where Ray puts it."""

import fcntl
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune

from convnets.errors import InvalidValue
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trial_process import GIVE_UP, LOCK_FILE, TrialProcess

POLL = 1.0
"""Seconds between results, at most: Tune can stop a trial only where it gives one."""
LOST = 120.0
"""Seconds until a network file system gives a lock free whose machine is gone; 90 is what NFS waits by default."""

Result = dict[str, Any]


class RayTrial(tune.Trainable):
    """Each result holds the new evaluations, and the last one how the process ended.

    A process that a signal ended has lost its machine or its memory: it raises, and Tune starts the trial again, on
    another node if need be. One that ended by itself is done, for it would do so again.
    """

    def setup(self, config: Mapping[str, Any], sweep: Sweep, environment: Mapping[str, str], place: str) -> None:
        """Starts the process; in a workdir with checkpoints it goes on from the last one.

        Args:
          config: `number` and `values` of the trial.
          environment: variables of the process besides those of the node.
          place: the folder that the sweep was started in, to which paths in its config are relative.

        Raises:
          StillTrains: an earlier process in the workdir has not ended; Tune starts the trial again.
        """
        self._process: TrialProcess | None = None
        self._metric, self._refused = sweep.metric, ""
        folder = sweep.folder(config["number"])
        _wait_until_free(folder)
        for shared in (sweep.workdir, Path(place)):
            if not shared.is_dir():
                self._refused = f"{shared} is not on {socket.gethostname()}: put it where all nodes share it"
                return
        os.chdir(place)
        try:
            self._process = TrialProcess(folder, sweep.config_of(config["values"]), environment)
        except InvalidValue as error:
            self._refused = str(error)

    def step(self) -> Result:
        """Waits for a moment.

        Returns:
          `evaluations`: step and metric of each new one; `steps` of the whole training; `done`: whether the process has
          ended; `finished`: with a result; `error`: why it has not.

        Raises:
          RuntimeError: a process that a signal ended.
        """
        process = self._process
        if process is None:
            return _result(error=self._refused)
        status = process.wait(POLL)
        evaluations = [(record["step"], record[self._metric]) for record in process.new_evaluations()]
        if status is not None and (status < 0 or status == 128 + signal.SIGTERM):
            raise RuntimeError(process.error())
        error = process.error() if status else ""
        return _result(evaluations, process.steps, finished=status == 0, error=error)

    def cleanup(self) -> None:
        """Has a process that still runs save and end."""
        if self._process is not None and self._process.wait(0) is None:
            self._process.stop()
            self._process.wait(GIVE_UP)


def _result(
    evaluations: Sequence[tuple[int, float]] = (), steps: int = 0, finished: bool = False, error: str = ""
) -> Result:
    done = finished or bool(error)
    return {"evaluations": evaluations, "steps": steps, "finished": finished, "error": error, "done": done}


def trains_in(folder: Path) -> bool:
    """Whether a process, on whatever machine, trains in the workdir."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _wait_until_free(folder: Path) -> None:
    """What trained here on a node that is lost saves and ends, or the file system notices that it is gone."""
    deadline = time.monotonic() + LOST
    while trains_in(folder) and time.monotonic() < deadline:
        time.sleep(0.5)
