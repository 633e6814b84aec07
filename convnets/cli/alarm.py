"""How a process that fails tells the others, whatever they are at: compiling, reading, or in a collective."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jax

try:
    # There is no public way to the key-value store of JAX's coordination service; Orbax and others take this one.
    from jax._src.distributed import global_state
except ImportError:
    global_state = None  # type: ignore[assignment]

KEY = "convnets/failed"

PERIOD = 1.0
"""Seconds between two looks of a process."""


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

    def _watch(self) -> None:
        look = getattr(self._store, "key_value_try_get", None)
        while look and not self._over.wait(PERIOD):
            # So it says that there is no such key, or nobody to ask.
            with suppress(jax.errors.JaxRuntimeError):
                look(KEY)
                if not self._over.is_set():
                    self._alarmed(self._number)
                return
