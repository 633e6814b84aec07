"""What this machine has, asked in a process of its own, and processes that are bound to a part of it."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout

import pytest

from convnets.errors import InvalidValue
from convnets.training import this_machine
from convnets.training.this_machine import bound_to, devices_here


@pytest.fixture
def asked(monkeypatch):
    """Puts another question in the place of the one to JAX, on a machine that may have other devices than a CPU."""
    monkeypatch.setattr(this_machine, "can_only_be_cpu", lambda: False)
    return lambda question: monkeypatch.setattr(this_machine, "ASK", question)


def test_a_process_of_its_own_says_what_there_is(asked):
    asked("print('a warning'); print('[\"gpu\", 3]')")
    assert devices_here() == ("gpu", 3)


def test_whoever_asks_takes_no_memory_of_a_gpu(asked):
    asked('import json, os; print(json.dumps(["gpu", os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"]]))')
    assert devices_here() == ("gpu", "false")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("raise RuntimeError('no supported devices')", "RuntimeError: no supported devices"),
        ("raise SystemExit(3)", "exit status 3"),
    ],
)
def test_a_driver_that_fails_is_told_of_in_a_sentence(asked, question, words):
    asked(question)
    with pytest.raises(InvalidValue, match=rf"JAX can't say what devices there are \({words}\): put that right"):
        devices_here()


def test_jax_answers_the_question():
    said = io.StringIO()
    with redirect_stdout(said):
        exec(this_machine.ASK, {})
    assert said.getvalue().strip() == '["cpu", 8]'


def test_where_jax_is_told_to_use_the_cpu_nobody_is_asked(monkeypatch):
    monkeypatch.setattr(this_machine, "ASK", "raise SystemExit(1)")
    assert devices_here() == ("cpu", 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not bind processes to cores")
def test_processes_are_bound_to_cores_and_this_one_is_not():
    own = os.sched_getaffinity(0)
    command = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    for cores, seen in (([max(own)], {max(own)}), ((), own)):
        with bound_to(cores):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert os.sched_getaffinity(0) == own
        assert process.communicate()[0].strip() == str(sorted(seen))
