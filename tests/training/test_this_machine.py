"""What this machine has, the shares of it that processes are bound to, and that they end with who started them."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout

import pytest

from convnets.errors import InvalidValue
from convnets.training import this_machine
from convnets.training.interruption import PARENT
from convnets.training.this_machine import Share, devices_here, shares_of_processes, shares_of_trials


@pytest.fixture
def asked(monkeypatch):
    """Puts another question in the place of the one to JAX, on a machine that may have other devices than a CPU."""
    monkeypatch.setattr(this_machine, "can_only_be_cpu", lambda: False)
    return lambda question: monkeypatch.setattr(this_machine, "ASK", question)


def test_a_process_of_its_own_says_what_there_is_and_takes_no_memory_of_a_gpu(asked):
    asked('import json, os; print("a warning"); print(json.dumps([os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"], 3]))')
    assert devices_here() == ("false", 3)


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


def test_jax_answers_the_question_and_is_not_asked_where_it_is_told_to_use_the_cpu(monkeypatch):
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(this_machine.ASK, {})
    assert printed.getvalue().startswith('["cpu", ')
    monkeypatch.setattr(this_machine, "ASK", "raise SystemExit(1)")
    assert devices_here() == ("cpu", 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not bind processes to cores")
def test_processes_are_bound_to_cores_and_this_one_is_not(monkeypatch):
    own = os.sched_getaffinity(0)
    program = (sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))")
    monkeypatch.setattr(this_machine, "PROGRAM", program)
    for cores, seen in (((max(own),), {max(own)}), ((), own)):
        process = Share(cores=cores).start([], stdout=subprocess.PIPE, text=True)
        assert os.sched_getaffinity(0) == own
        assert process.communicate()[0].strip() == str(sorted(seen))


def test_the_program_is_found_from_any_folder(tmp_path):
    (tmp_path / "convnets").mkdir()
    (tmp_path / "convnets" / "__init__.py").write_text("raise ImportError('another one')")
    process = Share().start(["help"], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert "usage: " in process.communicate(timeout=60)[0]


def machine(monkeypatch, kind: str, count: int, **environment: str) -> None:
    monkeypatch.setattr(this_machine, "devices_here", lambda: (kind, count))
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_cores_are_shared_equally_by_processes_and_by_trials(monkeypatch):
    machine(monkeypatch, "cpu", 1)
    monkeypatch.setattr(this_machine, "cores_here", lambda: [1, 2, 3, 5, 6])
    assert [share.cores for share in shares_of_processes(2)] == [(1, 2), (3, 5)]
    assert shares_of_processes(2)[0].description == "2 cores"
    assert [share.cores for share in shares_of_processes(6)] == [()] * 6, "fewer cores than processes are shared by all"
    assert shares_of_trials() == [Share()]
    assert [share.cores for share in shares_of_trials(2)] == [(1, 2), (3, 5)]
    with pytest.raises(InvalidValue, match="--parallel is 6, and this machine has 5 cores"):
        shares_of_trials(6)


def test_gpus_are_shared_equally_by_processes_or_not_at_all(monkeypatch):
    machine(monkeypatch, "gpu", 8)
    ids = [share.environment["JAX_LOCAL_DEVICE_IDS"] for share in shares_of_processes(4)]
    assert ids == ["0,1", "2,3", "4,5", "6,7"]
    assert [shares_of_processes(count)[0].description for count in (8, 4)] == ["1 GPU", "2 GPUs"]
    for count in (3, 16):
        with pytest.raises(InvalidValue, match=f"is {count}, which can't share 8 GPUs equally: use 1, 2, 4, 8"):
            shares_of_processes(count)
    machine(monkeypatch, "tpu", 4)
    with pytest.raises(InvalidValue, match="one process drives all chips of a TPU host"):
        shares_of_processes(2)


@pytest.mark.parametrize(
    ("kind", "count", "given", "parallel", "visible"),
    [
        ("gpu", 4, {}, 0, ["0", "1", "2", "3"]),
        ("gpu", 4, {}, 2, ["0,1", "2,3"]),
        # Devices that a job was given keep their names.
        ("gpu", 2, {"CUDA_VISIBLE_DEVICES": "5,GPU-7"}, 0, ["5", "GPU-7"]),
        ("rocm", 2, {}, 0, ["0", "1"]),
        ("tpu", 4, {}, 2, ["0,1", "2,3"]),
    ],
)
def test_each_device_has_a_trial_and_fewer_trials_have_several(monkeypatch, kind, count, given, parallel, visible):
    machine(monkeypatch, kind, count, **given)
    shares = shares_of_trials(parallel)
    assert [share.environment[this_machine.VISIBLE[kind]] for share in shares] == visible
    if kind == "tpu":
        assert {share.environment["TPU_CHIPS_PER_PROCESS_BOUNDS"] for share in shares} == {"1,2,1"}


def test_trials_that_can_not_share_the_devices_are_refused(monkeypatch):
    machine(monkeypatch, "gpu", 4)
    assert shares_of_trials(1) == [Share()]
    with pytest.raises(InvalidValue, match="--parallel is 5, and this machine has 4 devices"):
        shares_of_trials(5)
    machine(monkeypatch, "tpu", 6)
    with pytest.raises(InvalidValue, match="a trial would have 3 TPU chips"):
        shares_of_trials(2)


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


@pytest.mark.parametrize(
    ("seconds", "how", "end"), [(60, "named", "ended after SIGTERM\n"), (1.5, "nameless", "ended after None\n")]
)
def test_a_run_is_stopped_as_by_sigterm_once_the_parent_that_is_named_is_killed(seconds, how, end):
    environment = {name: value for name, value in os.environ.items() if name != PARENT}
    line = [sys.executable, "-c", BOTH, str(seconds), how]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout.readline() == "begun\n"
        time.sleep(1.2 if how == "named" else 0)
        assert parent.poll() is None
        os.kill(parent.pid, signal.SIGKILL)
        began = time.monotonic()
        # To the end of what the orphan prints.
        assert parent.stdout.read() == end
        assert time.monotonic() - began < 10
