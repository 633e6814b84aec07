"""A run whose parent process is gone stops and saves."""

import os
import signal
import subprocess
import sys
import time

from convnets.training.interruption import PARENT

CHILD = """
import time
from convnets.training.interruption import Interruption, end_with_parent
with Interruption() as interruption:
    end_with_parent()
    print("begun", flush=True)
    while interruption.signal is None:
        time.sleep(0.02)
    print("saved after", interruption.signal.name, flush=True)
"""
PARENTS = f"""
import os, subprocess, sys
child = [sys.executable, "-c", {CHILD!r}]
subprocess.run(child, env=os.environ | {{{PARENT!r}: str(os.getpid())}}, start_new_session=True)
"""


def test_a_killed_parent_is_noticed_and_the_run_is_stopped_as_by_sigterm():
    with subprocess.Popen([sys.executable, "-c", PARENTS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "begun\n"
        time.sleep(1.2)
        os.kill(parent.pid, signal.SIGKILL)
        # To the end of what the orphan says.
        assert parent.stdout.read() == "saved after SIGTERM\n"


def test_without_a_parent_named_a_run_goes_on_alone(monkeypatch):
    monkeypatch.delenv(PARENT, raising=False)
    script = CHILD.replace("while interruption.signal is None:", "for _ in range(80):").replace(
        ".signal.name", ".signal"
    )
    parents = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {script!r}], start_new_session=True)"
    with subprocess.Popen([sys.executable, "-c", parents], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.read() == "begun\nsaved after None\n"
