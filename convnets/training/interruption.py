"""SIGTERM and Ctrl-C as a wish that the loop grants at its next step."""

import os
import signal
import threading
import time
from types import FrameType

PARENT = "CONVNETS_PARENT"
"""The variable with the id of a process, the one that started this one, without which this one is not to go on."""


class Interruption:
    """While it is entered, the first SIGTERM or SIGINT is only noted; a second one acts as it always does."""

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interruption":
        for number in self.SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()

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
