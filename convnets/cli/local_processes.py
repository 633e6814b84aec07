"""`launch.py train --local_processes=N`: starts the processes of a run on this machine, and watches over them."""

import math
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from types import FrameType

from convnets.training.this_machine import Share

GRACE = 5.0
"""Seconds that the others have to end by themselves when one has failed."""


class LocalProcesses:
    """The processes of one run on this machine. For one call of `run`.

    Args:
      arguments: of `launch.py`, the same for each process.
      shares: what each process is bound to.
    """

    def __init__(self, arguments: Sequence[str], shares: Sequence[Share]):
        self.arguments, self.shares = arguments, shares
        self.processes: list[subprocess.Popen[bytes]] = []
        self._signals = 0

    def run(self) -> int:
        """Starts them, passes SIGTERM and Ctrl-C on, and ends all when one fails.

        A second signal ends them at once.

        Returns:
          0, or the exit status of the first that failed: 128 + a signal's number, if a signal ended it.
        """
        before = {number: signal.signal(number, self._pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            meeting = f"--coordinator=127.0.0.1:{free_port()}", f"--num_processes={len(self.shares)}"
            for number, share in enumerate(self.shares):
                arguments = [*self.arguments, *meeting, f"--process_id={number}"]
                # The terminal's Ctrl-C reaches this process alone.
                self.processes.append(share.start(arguments, process_group=0))
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


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
