"""How a process that fails ends the others of its run, whatever they do: compiling, reading, or in a collective."""

import hashlib
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import jax
from jax.experimental import multihost_utils

from convnets.errors import ConvnetsError

try:
    # There is no public way to the key-value store of JAX's coordination service; Orbax and others take this one.
    from jax._src.distributed import global_state
except ImportError:
    global_state = None  # type: ignore[assignment]

KEY = "convnets/failed"

PERIOD = 1.0
"""Seconds between two looks of a process at whether another has failed."""

FAILS_WITHIN = 4.0
"""Seconds within which processes that fail of the same cause all do."""

_LOST = re.compile(r"gloo|nccl|coordination service|heartbeat", re.IGNORECASE)
"""In the words of XLA where a collective broke because another process was gone."""


def together(train: Callable[[], int]) -> int:
    """Runs the part of a joined process; where one process fails, all end, and the cause is printed once.

    A process that fails ends at once, without the way out that would wait for the others; they find their collective
    broken or hear the alarm, and end too. One that is killed can't raise it: then the others miss its heartbeat.

    Returns:
      What `train` returned.
    """
    alarm = Alarm(_follow)
    try:
        with alarm:
            status = train()
            # The others wait here while the first one draws the report, and not on the way out, where patience is
            # limited.
            multihost_utils.sync_global_devices("the end of the run")
    except BaseException as error:
        _end(error, alarm)
    return status


class Alarm:
    """While it is entered, a thread looks whether another process has raised it. For joined processes.

    Where a release of JAX keeps the store elsewhere nothing is heard: a broken collective or a heartbeat has to tell.

    Args:
      alarmed: called in that thread with the number of this process, which JAX itself may be too busy to say.
    """

    def __init__(self, alarmed: Callable[[int], None]):
        self._alarmed = alarmed
        self._store: Any = getattr(global_state, "client", None)
        self._number: int = getattr(global_state, "process_id", 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Alarm":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        # Not to be caught looking when the interpreter ends.
        self._thread.join(PERIOD)

    def sound(self) -> None:
        """Tells the others, and lets them hear it: the store goes with the first process."""
        with suppress(AttributeError, TypeError, jax.errors.JaxRuntimeError):
            self._store.key_value_set(KEY, "", allow_overwrite=True)
            if self._number == 0:
                time.sleep(2 * PERIOD)

    def all_fail_of(self, error: BaseException) -> bool:
        """Whether every process comes here with the same error within `FAILS_WITHIN`."""
        words = f"{type(error).__name__} {error}"
        try:
            self._store.wait_at_barrier(
                f"convnets/failed of {hashlib.sha256(words.encode()).hexdigest()}", int(1000 * FAILS_WITHIN)
            )
        except Exception:
            return False
        return True

    def _watch(self) -> None:
        look = getattr(self._store, "key_value_try_get", None)
        while look and not self._over.wait(PERIOD):
            # So it says that there is no such key, or nobody to ask.
            with suppress(jax.errors.JaxRuntimeError):
                look(KEY)
                if not self._over.is_set():
                    self._alarmed(self._number)
                return


def _follow(number: int) -> None:
    print(_lost(number, "it has failed"), file=sys.stderr, flush=True)
    os._exit(1)


def _end(error: BaseException, alarm: Alarm) -> NoReturn:
    alike = False
    status = 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    if _tells_of_a_loss(error):
        print(_lost(jax.process_index(), str(error).strip().partition("\n")[0][:400]), file=sys.stderr)
    elif not (alike := alarm.all_fail_of(error)) or jax.process_index() == 0:
        if isinstance(error, ConvnetsError):
            print(f"error: {error}", file=sys.stderr)
        elif isinstance(error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
        else:
            traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    if not alike:
        alarm.sound()
    os._exit(status)


def _tells_of_a_loss(error: BaseException) -> bool:
    """Whether a collective broke; Gloo's complaints come as either kind of error."""
    kinds = jax.errors.JaxRuntimeError | ValueError
    return isinstance(error, kinds) and not isinstance(error, ConvnetsError) and bool(_LOST.search(str(error)))


def _lost(number: int, words: str) -> str:
    return (
        f"error: process {number} has lost another process of this run, which prints the cause; what was saved is "
        f"there, and the same command again resumes from it ({words})"
    )
