"""`launch.py train --local_processes=N`: starts the processes of a run on this machine, and watches over them."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from convnets.errors import InvalidValue
from convnets.training.interruption import PARENT
from convnets.training.this_machine import bound_to, cores_here, devices_here

GRACE = 5.0
"""Seconds that the others have to end by themselves when one has ended badly."""


class LocalProcesses:
    """The processes of one run on this machine. For one call of `run`.

    Args:
      arguments: of `launch.py`, the same for each.
      shares: for each process, what it is bound to.
    """

    def __init__(self, arguments: Sequence[str], shares: "Sequence[Share]"):
        self.arguments, self.shares = arguments, shares
        self.processes: list[subprocess.Popen[bytes]] = []
        self._signals = 0

    def run(self) -> int:
        """Starts them, passes SIGTERM and Ctrl-C on, and ends all when one ends badly.

        A second signal ends them at once.

        Returns:
          0, or the exit status of the first that ended badly: 128 + a signal's number, if a signal ended it.
        """
        before = {number: signal.signal(number, self._pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            meeting = f"--coordinator=127.0.0.1:{free_port()}", f"--num_processes={len(self.shares)}"
            for number, share in enumerate(self.shares):
                command = [sys.executable, sys.argv[0], *self.arguments, *meeting, f"--process_id={number}"]
                self.processes.append(share.start(command))
            return self._watch()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self) -> int:
        status, deadline = 0, math.inf
        while None in [process.poll() for process in self.processes]:
            status = status or self._worst()
            if status and deadline == math.inf:
                deadline = time.monotonic() + GRACE
            if time.monotonic() > deadline:
                self._end()
            time.sleep(0.05)
        status = status or self._worst()
        return status if status >= 0 else 128 - status

    def _worst(self) -> int:
        # One that only lost another says 1, or is aborted, and may have ended in the same moment.
        ended = [process.returncode for process in self.processes if process.returncode]
        return min(ended, key=lambda code: code in (1, -signal.SIGABRT), default=0)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        for process in self.processes:
            process.send_signal(number if self._signals == 1 else signal.SIGKILL)

    def _end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


class Share:
    """The part of the machine that one process is bound to: CPU cores, or places among the visible GPUs."""

    def __init__(self, *, cores: Sequence[int] = (), gpus: Sequence[int] = ()):
        self.cores, self.gpus = cores, gpus

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """A process bound so from its very beginning, which the terminal's Ctrl-C does not reach."""
        environment = os.environ | {PARENT: str(os.getpid())}
        if self.gpus:
            environment["JAX_LOCAL_DEVICE_IDS"] = ",".join(map(str, self.gpus))
        with bound_to(self.cores):
            return subprocess.Popen(command, env=environment, process_group=0)

    def __str__(self) -> str:
        if self.gpus:
            return f"{len(self.gpus)} {'GPU' if len(self.gpus) == 1 else 'GPUs'} each"
        return f"{len(self.cores) or 'all'} {'core' if len(self.cores) == 1 else 'cores'} each"


def shares_of(count: int) -> list[Share]:
    """An equal share of the visible GPUs, or else of the CPU cores, for each of so many processes.

    Raises:
      InvalidValue: GPUs that the processes can't share equally, devices that one process drives alone, or a driver that
        fails.
    """
    kind, devices = devices_here()
    if kind == "cpu":
        # Not every system knows affinity, and where cores are fewer than processes they share all.
        cores = cores_here()
        bounds = [number * len(cores) // count for number in range(count + 1)]
        bound = len(cores) >= count
        return [Share(cores=cores[bounds[i] : bounds[i + 1]] if bound else ()) for i in range(count)]
    if kind == "tpu":
        raise InvalidValue("--local_processes is for GPUs and CPUs, and one process drives all chips of a TPU host")
    if devices % count:
        fitting = ", ".join(str(number) for number in range(1, devices + 1) if devices % number == 0)
        raise InvalidValue(f"--local_processes is {count}, which can't share {devices} GPUs equally: use {fitting}")
    each = devices // count
    return [Share(gpus=range(number * each, (number + 1) * each)) for number in range(count)]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
