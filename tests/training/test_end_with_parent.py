"""A run whose parent process is gone stops and saves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from convnets.training.interruption import PARENT

CHILD = """
import sys, time
from convnets.training.interruption import Interruption, end_with_parent
with Interruption() as interruption:
    end_with_parent()
    print("begun", flush=True)
    deadline = time.monotonic() + float(sys.argv[1])
    while interruption.signal is None and time.monotonic() < deadline:
        time.sleep(0.02)
    print("ended after", interruption.signal and interruption.signal.name, flush=True)
"""
BOTH = f"""
import os, subprocess, sys
named = {{{PARENT!r}: str(os.getpid())}} if sys.argv[2] == "named" else {{}}
subprocess.run([sys.executable, "-c", {CHILD!r}, sys.argv[1]], env=os.environ | named, start_new_session=True)
"""


@contextmanager
def parent_of(seconds: float, how: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a child that goes on for so long unless it is stopped; they share an output."""
    line = [sys.executable, "-c", BOTH, str(seconds), how]
    environment = {name: value for name, value in os.environ.items() if name != PARENT}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout.readline() == "begun\n"
        yield parent


def test_a_run_goes_on_while_its_parent_does_and_is_stopped_as_by_sigterm_once_that_is_killed():
    with parent_of(60, "named") as parent:
        time.sleep(1.2)
        assert parent.poll() is None
        os.kill(parent.pid, signal.SIGKILL)
        began = time.monotonic()
        # To the end of what the orphan says.
        assert parent.stdout.read() == "ended after SIGTERM\n"
        assert time.monotonic() - began < 10


def test_without_a_parent_named_a_run_goes_on_alone():
    with parent_of(1.5, "nameless") as parent:
        os.kill(parent.pid, signal.SIGKILL)
        assert parent.stdout.read() == "ended after None\n"
