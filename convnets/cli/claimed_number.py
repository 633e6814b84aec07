"""Numbers of processes that don't fit, found in the workdir that all see: JAX would only abort, with a C++ trace."""

import fcntl
import os
import time
from pathlib import Path

from convnets.errors import InvalidValue

FILE = "processes.lock"
WIDTH = 8
"""Bytes in which each process writes how many it takes them to be."""

ENDS_WITHIN = 30.0
"""Seconds in which the processes of a run that was ended should be gone."""


def claim_number(workdir: Path, count: int, number: int) -> None:
    """Holds the number among the processes of this workdir until this process ends, however it does.

    Where files can't be locked or written nothing is found.

    Raises:
      InvalidValue: a number that another process holds, or another count than one of them was given.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        # Closing it would give the number back.
        file = os.open(workdir / FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        return
    deadline = time.monotonic() + ENDS_WITHIN
    while complaint := _claim(file, count, number):
        if time.monotonic() > deadline:
            os.close(file)
            raise InvalidValue(
                f"{complaint}, which trains in {workdir}: give all the same count and each its own number"
            )
        time.sleep(0.2)


def _claim(file: int, count: int, number: int) -> str:
    """What stands against it; empty if nothing does."""
    if not _lock(file, number):
        return f"--process_id={number} is that of another process"
    os.pwrite(file, f"{count:<{WIDTH}}".encode(), number * WIDTH)
    written = os.pread(file, os.fstat(file).st_size, 0).decode()
    for other in range(len(written) // WIDTH):
        theirs = written[other * WIDTH : (other + 1) * WIDTH].strip("\0 ")
        if other == number or theirs in ("", str(count)):
            continue
        if not _lock(file, other):
            return f"--num_processes is {count}, and {theirs} for --process_id={other}"
        # Of a process that is gone.
        fcntl.lockf(file, fcntl.LOCK_UN, 1, other)
    return ""


def _lock(file: int, number: int) -> bool:
    """Whether the byte of that number is this process's now; file systems without locks have nothing against it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
