"""Requests to stop, SIGTERM and Ctrl-C, which a run acknowledges between steps, all its processes at the same one."""

import os
import signal
import threading
import time
from types import FrameType

import jax
from jax.experimental import multihost_utils

PARENT = "CONVNETS_PARENT"
"""The variable with the id of the process that started this one, where this one is not to go on without it."""


class Interruption:
    """While it is entered, the first SIGTERM or SIGINT is only noted; a second one acts as it always does.

    With several processes JAX has taken SIGTERM for itself, and tells the others; Ctrl-C is passed on to it.

    Attributes:
      signal: that this process got, but for those that JAX takes.
      acknowledged: the signal that the run stops for; SIGTERM in processes that got none themselves.
    """

    def __init__(self) -> None:
        self.acknowledged: signal.Signals | None = None
        # Asking for the number of processes would begin to use the devices.
        self._several = jax.distributed.is_initialized()
        self.signal: signal.Signals | None = None
        self._times_asked = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT,) if self._several else (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def requested(self) -> bool:
        """Whether to stop here, which stays so once it is.

        All processes must ask equally often: they get the same answer.
        """
        if self.acknowledged is None and self._several:
            self._times_asked += 1
            if multihost_utils.reached_preemption_sync_point(self._times_asked):
                self.acknowledged = self.signal or signal.SIGTERM
        elif self.acknowledged is None:
            self.acknowledged = self.signal
        return self.acknowledged is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()
        if self._several:
            os.kill(os.getpid(), signal.SIGTERM)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}


def end_with_parent() -> None:
    """Where `PARENT` is set, has this process stop and save, as by SIGTERM, once that one is gone, however it ended."""
    if PARENT in os.environ:
        threading.Thread(target=_watch, args=(int(os.environ[PARENT]),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
