"""Several real processes train as one, end as one, and go on as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from launching import ROOT, evaluations, losses, needs_data

from convnets.cli.local_processes import free_port

pytestmark = needs_data()
EXPERIMENT = "--config=tests/cli/failing_experiment.py"


def start(happened, *arguments, devices=1, **environment):
    """`launch.py` in a process of its own; what is to happen has happened if the file is there."""
    common = {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONUNBUFFERED": "1",
        "HAPPENED": str(happened),
    }
    return subprocess.Popen(
        [sys.executable, "launch.py", *arguments],
        cwd=ROOT,
        env=os.environ | common | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def ended(*processes, within=120):
    """Their exit statuses, and what they said, without Gloo's own line."""
    outputs = [process.communicate(timeout=within)[0] for process in processes]
    lines = ([line for line in said.splitlines(keepends=True) if "[Gloo]" not in line] for said in outputs)
    return [process.returncode for process in processes], ["".join(each) for each in lines]


def train(happened, word, workdir, *more, devices=1):
    """Trains to the end, which must be a good one."""
    arguments = "train", f"{EXPERIMENT}:{word}", f"--workdir={workdir}", *more
    (status,), (said,) = ended(start(happened, *arguments, devices=devices))
    assert status == 0, said
    return said


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> Path:
    """The workdir of the run by one process with two devices."""
    workdir = tmp_path_factory.mktemp("one_process") / "run"
    train(workdir.parent, "nothing", workdir, devices=2)
    return workdir


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> Path:
    """The workdir of the run by two processes with a device each."""
    workdir = tmp_path_factory.mktemp("two_processes") / "run"
    said = train(workdir.parent, "nothing", workdir, "--local_processes=2")
    # The first one speaks for both.
    assert said.count("examples seen") == 1
    return workdir


def assert_same_to_rounding(one, other):
    curves = losses(one), losses(other)
    assert list(curves[0]) == list(curves[1]) == list(range(1, 11))
    np.testing.assert_allclose(list(curves[0].values()), list(curves[1].values()), rtol=1e-4)
    ours, theirs = evaluations(one), evaluations(other)
    assert [e[:3] for e in ours] == [e[:3] for e in theirs]
    assert [e[2] for e in ours] == [999, 999, 10_000]
    np.testing.assert_allclose([e[3] for e in ours], [e[3] for e in theirs], rtol=1e-3)


def assert_same(one, other):
    assert losses(one) == losses(other)
    assert evaluations(one) == evaluations(other)


def test_two_processes_give_the_loss_curve_of_two_devices_and_evaluate_every_example_once(one_process, two_processes):
    assert_same_to_rounding(one_process, two_processes)


def test_processes_that_are_told_where_to_meet_train_as_one_under_the_other_wrapper(one_process, tmp_path):
    together = (
        f"--coordinator=127.0.0.1:{free_port()}",
        "--num_processes=2",
        f"--workdir={tmp_path / 'run'}",
        "--config.train.wrapper=shard_map",
    )
    processes = [start(tmp_path, "train", f"{EXPERIMENT}:nothing", *together, f"--process_id={i}") for i in range(2)]
    statuses, outputs = ended(*processes)
    assert statuses == [0, 0], outputs
    # The first one speaks for both.
    assert "examples seen" in outputs[0]
    assert outputs[1] == ""
    assert_same_to_rounding(one_process, tmp_path / "run")


@pytest.mark.parametrize(("word", "number"), [("terminate", signal.SIGTERM), ("interrupt", signal.SIGINT)])
def test_a_signal_to_one_process_saves_on_all_at_once_and_the_rest_is_the_same(
    two_processes, one_process, tmp_path, word, number
):
    workdir = tmp_path / "run"
    # Nothing is logged, evaluated or saved by itself before the end.
    rare = [f"--config.{field}.every=1000 steps" for field in ("log", "evaluation", "checkpoint")]
    arguments = "train", f"{EXPERIMENT}:{word}", f"--workdir={workdir}", "--local_processes=2", *rare
    (status,), (said,) = ended(start(tmp_path / "happened", *arguments))
    assert status == 128 + number, said
    (saved,) = (workdir / "checkpoints").iterdir()
    assert 2 < int(saved.name) < 10
    assert said.count(f"stopped by {number.name} at step {saved.name} of 10, and saved") == 1

    if word == "terminate":
        train(tmp_path, "nothing", workdir, "--local_processes=2", *rare)
        assert evaluations(workdir) == evaluations(two_processes)[1:]
    else:
        # Another number of processes, and of devices.
        said = train(tmp_path, "nothing", workdir, *rare, devices=4)
        assert f"resuming at step {saved.name} of 10" in said
        np.testing.assert_allclose(evaluations(workdir)[-1][3], evaluations(one_process)[-1][3], rtol=1e-3)


def test_processes_whose_starter_is_killed_end_too(tmp_path):
    arguments = "train", f"{EXPERIMENT}:nothing", f"--workdir={tmp_path / 'run'}", "--local_processes=2"
    process = start(tmp_path, *arguments, "--config.train.duration=100000 steps")
    deadline = time.monotonic() + 120
    while not losses(tmp_path / "run"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    # The pipe is at its end when nobody is left who could write into it.
    process.communicate(timeout=10)


@pytest.mark.parametrize("word", ["kill", "kill_alone"])
def test_a_killed_process_ends_all_and_the_rest_is_the_same(two_processes, tmp_path, word):
    workdir, happened = tmp_path / "run", tmp_path / "happened"
    arguments = "train", f"{EXPERIMENT}:{word}", f"--workdir={workdir}", "--local_processes=2"
    process = start(happened, *arguments)
    (status,), (said,) = ended(process)
    assert time.time() - happened.stat().st_mtime < 10
    assert status == 128 + signal.SIGKILL, said
    if word == "kill":
        assert "process 0 has lost another process of this run" in said
        train(happened, word, workdir, "--local_processes=2")
        assert_same(workdir, two_processes)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("raise", "RuntimeError: the reader of process 1 fell over"),
        ("raise_alone", "RuntimeError: the reader of process 1 fell over"),
        ("refuse", "error: the file of process 1 is damaged: mend it"),
    ],
)
def test_what_one_process_fails_of_is_said_once_and_ends_all(tmp_path, word, sentence):
    # Nobody watches over them here.
    together = f"--coordinator=127.0.0.1:{free_port()}", "--num_processes=2", f"--workdir={tmp_path / 'run'}"
    happened = tmp_path / "happened"
    processes = [start(happened, "train", f"{EXPERIMENT}:{word}", *together, f"--process_id={i}") for i in range(2)]
    statuses, outputs = ended(*processes)
    assert time.time() - happened.stat().st_mtime < 10
    assert statuses == [1, 1], outputs
    assert sentence in outputs[1]
    assert outputs[1].count("Traceback") == (word != "refuse")
    assert "Traceback" not in outputs[0]
    assert "the same command again goes on from it (" in outputs[0]


def slurm(number, port):
    """What Slurm tells a task of a step of two."""
    names = {
        "JOB_ID": 7,
        "STEP_NODELIST": "localhost",
        "NTASKS": 2,
        "STEP_NUM_TASKS": 2,
        "PROCID": number,
        "LOCALID": 0,
    }
    return {f"SLURM_{name}": str(value) for name, value in names.items()} | {"JAX_COORDINATOR_PORT": str(port)}


def open_mpi(number, port):
    """What mpirun tells a process of two."""
    names = {"COMM_WORLD_SIZE": 2, "COMM_WORLD_RANK": number, "COMM_WORLD_LOCAL_RANK": 0}
    address = {"MCA_orte_hnp_uri": "1531576320.0;tcp://127.0.0.1:34911"}
    return {f"OMPI_{name}": str(value) for name, value in (names | address).items()} | {
        "JAX_COORDINATOR_PORT": str(port)
    }


@pytest.mark.parametrize("cluster", [slurm, open_mpi])
def test_tasks_of_a_cluster_join_by_themselves_and_a_mistake_of_all_is_said_once(tmp_path, cluster):
    port = free_port()
    arguments = "train", f"{EXPERIMENT}:nothing", f"--workdir={tmp_path / 'run'}", "--config.train.batch_size=63"
    processes = [start(tmp_path, *arguments, **cluster(number, port)) for number in range(2)]
    statuses, outputs = ended(*processes)
    assert statuses == [1, 1], outputs
    # Two devices: they have joined.
    assert outputs[0].startswith("error: train.batch_size is 63, which 2 devices")
    assert outputs[0].count("\n") == 1
    assert outputs[1] == ""
