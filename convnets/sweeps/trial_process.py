"""One trial: a process of `convnets train` in a workdir of its own."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.training.config import to_json
from convnets.training.metrics_log import Record, read_records
from convnets.training.this_machine import Share

CONFIG_FILE = "trial.json"
"""In a trial's workdir, the config that it is started with."""
OUTPUT_FILE = "output.log"
"""In a trial's workdir, what it printed, each start after the one before."""
LOCK_FILE = "trial.lock"
"""Locked while a process trains in the workdir; host and id of that process."""

GIVE_UP = 600.0
"""Seconds that an earlier process in the same workdir may take to save and to end."""
GIVE_UP_ELSEWHERE = 180.0
"""The same of one of another machine, which saves and ends when it is an orphan. NFS needs 90 to free a dead one's."""
LONGEST_ERROR = 500


class StillTrains(Exception):
    """An earlier process in the same workdir has not ended in the time that it had."""


class Lost(Exception):
    """A trial's process or its node is gone, which is not the trial's own failure."""


class TrainingProcess(Protocol):
    """What a worker asks of the process of a trial, here or on another machine: see `TrialProcess`."""

    @property
    def steps(self) -> int: ...
    def wait(self, seconds: float | None = None) -> int | None: ...
    def new_evaluations(self) -> list[Record]: ...
    def stop(self) -> None: ...
    def error(self) -> str: ...


class TrialProcess:
    """The process of a trial on this machine. Starts at once; in the same workdir it resumes. It ends with this one.

    No two processes train in one workdir: one whose worker was killed may still be at it, and is first asked to save
    and to end. Where checkpoints are copied elsewhere, each trial has a folder of its name there.

    Args:
      folder: the workdir; made if need be.
      config: of the trial, completed.
      share: what the process is bound to.

    Raises:
      InvalidValue: a workdir that can't be written.
      StillTrains: after a long wait; the trial may be started again later.
    """

    def __init__(self, folder: Path, config: ConfigDict, share: Share):
        self.folder = folder
        self._reported: set[int] = set()
        self._seen: tuple[int, int] | None = None
        if config.checkpoint.folder:
            config = ConfigDict(config.to_dict())
            config.checkpoint.folder = f"{config.checkpoint.folder}/{folder.name}"
        try:
            write_atomically(folder / CONFIG_FILE, to_json(config))
        except OSError as error:
            raise InvalidValue(f"the workdir {folder} can't be written: {error.strerror}") from None
        lock = _lock(folder / LOCK_FILE)
        try:
            self._process = self._start(share, lock)
            os.truncate(lock, 0)
            os.pwrite(lock, f"{socket.gethostname()} {self._process.pid}".encode(), 0)
        finally:
            # The process has inherited it, and holds it until it ends.
            os.close(lock)

    def _start(self, share: Share, lock: int) -> "subprocess.Popen[bytes]":
        with (self.folder / OUTPUT_FILE).open("ab") as output:
            self._output_from = output.tell()
            return share.start(
                # Where a cluster has started the sweep, its trials are none of the cluster's processes.
                [
                    "train",
                    f"--config={self.folder / CONFIG_FILE}",
                    f"--workdir={self.folder}",
                    "--num_processes=1",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                # Ctrl-C is for the sweep, which then stops its trials.
                start_new_session=True,
            )

    def new_evaluations(self) -> list[Record]:
        """The evaluations of the validation split since last asked, in order, of the run's earlier parts too."""
        path = self.folder / "metrics.jsonl"
        state = path.stat() if path.exists() else None
        changed = state and (state.st_mtime_ns, state.st_size)
        if changed == self._seen:
            return []
        self._seen = changed
        try:
            records = read_records(path)
        except InvalidValue:
            # The run itself will say so.
            return []
        new = [
            record
            for record in records
            if (record["kind"], record.get("split")) == ("evaluation", "validation")
            and record["step"] not in self._reported
        ]
        self._reported.update(record["step"] for record in new)
        return new

    @property
    def steps(self) -> int:
        """Of the whole training, which the run says when it begins; 0 before."""
        try:
            return int(json.loads((self.folder / "environment.json").read_text())["derived"]["steps"])
        except FileNotFoundError:
            return 0

    def stop(self) -> None:
        """Asks the run to save and to end (SIGTERM). It may take a step, or a compilation."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit status once the process has ended, negative for the number of a signal; None after the time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def error(self) -> str:
        """What was wrong, once it has ended: the sentence that the run refused with, or the last line it printed."""
        with (self.folder / OUTPUT_FILE).open("rb") as output:
            output.seek(self._output_from)
            lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
        last = lines[-1] if lines else "it printed nothing"
        refusals = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        text = refusals[-1] if refusals else last
        status = self._process.returncode
        if status is not None and status < 0:
            text = f"ended by {signal.Signals(-status).name}; its last words: {last}"
        return text[:LONGEST_ERROR]


def _lock(path: Path) -> int:
    """A descriptor of the file with the lock; who holds it on this machine is asked to end first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    began, asked = time.monotonic(), False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            host, _, pid = os.pread(descriptor, 1000, 0).decode().partition(" ")
            here = host == socket.gethostname()
            if pid and here and not asked:
                asked = True
                # Nobody else has this number while that process holds the lock, unless it left a child behind.
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
            if time.monotonic() - began > (GIVE_UP_ELSEWHERE if pid and not here else GIVE_UP):
                os.close(descriptor)
                raise StillTrains(f"the process {pid} on {host} still trains in {path.parent}") from None
            time.sleep(0.1)
