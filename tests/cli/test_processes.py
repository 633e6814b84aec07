"""Several real processes train as one, end as one, and resume as if nothing had happened."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from launching import ROOT, evaluations, losses, start

from convnets.cli.command_line import main
from convnets.cli.local_processes import free_port

pytestmark = pytest.mark.processes
EXPERIMENT = f"--config={ROOT / 'tests/cli/failing_experiment.py'}"
# Nothing is logged, evaluated or saved by itself before the end.
RARE = [f"--config.{field}.every=1000 steps" for field in ("log", "evaluation", "checkpoint")]


def launched(folder: Path, word: str, *more: str, **environment: str):
    """A training in a process of its own; what is to happen has happened if `folder / "happened"` is there."""
    arguments = ["train", f"{EXPERIMENT}:{word}", f"--workdir={folder / 'run'}", *more]
    return start(arguments, HAPPENED=str(folder / "happened"), **environment)


def ended(*processes, within=300):
    """Their exit statuses, and what they printed, without Gloo's own line."""
    outputs = [process.communicate(timeout=within)[0] for process in processes]
    lines = ([line for line in said.splitlines(keepends=True) if "[Gloo]" not in line] for said in outputs)
    return [process.returncode for process in processes], ["".join(each) for each in lines]


def end_in_time(folder: Path) -> None:
    assert time.time() - (folder / "happened").stat().st_mtime < 10


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> Path:
    """The workdir of the run by one process with several devices."""
    workdir = tmp_path_factory.mktemp("one_process") / "run"
    assert main(["", "train", EXPERIMENT, f"--workdir={workdir}"]) == 0
    return workdir


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> Path:
    """The workdir of the run by two processes with a device each."""
    folder = tmp_path_factory.mktemp("two_processes")
    (status,), (said,) = ended(launched(folder, "nothing", "--local_processes=2"))
    assert status == 0, said
    # The first one speaks for both.
    assert said.count("examples seen") == 1
    return folder / "run"


def assert_same_to_rounding(one, other):
    curves = losses(one), losses(other)
    assert list(curves[0]) == list(curves[1]) == list(range(1, 11))
    np.testing.assert_allclose(list(curves[0].values()), list(curves[1].values()), rtol=1e-4)
    ours, theirs = evaluations(one), evaluations(other)
    assert [e[:3] for e in ours] == [e[:3] for e in theirs]
    assert [e[2] for e in ours] == [41, 41, 200]
    np.testing.assert_allclose([e[3] for e in ours], [e[3] for e in theirs], rtol=1e-3)


def test_two_processes_give_the_loss_curve_of_one_and_evaluate_every_example_once(one_process, two_processes):
    assert_same_to_rounding(one_process, two_processes)


@pytest.mark.parametrize(("word", "number"), [("terminate", signal.SIGTERM), ("interrupt", signal.SIGINT)])
def test_a_signal_to_one_process_saves_on_all_at_once_and_another_number_of_processes_resumes(
    one_process, tmp_path, capsys, word, number
):
    (status,), (said,) = ended(launched(tmp_path, word, "--local_processes=2", *RARE))
    assert status == 128 + number, said
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert 2 < int(saved.name) < 10
    assert said.count(f"stopped by {number.name} at step {saved.name} of 10, and saved") == 1
    if word == "terminate":
        assert main(["", "train", EXPERIMENT, f"--workdir={tmp_path / 'run'}", *RARE]) == 0
        assert f"resuming at step {saved.name} of 10" in capsys.readouterr().out
        np.testing.assert_allclose(evaluations(tmp_path / "run")[-1][3], evaluations(one_process)[-1][3], rtol=1e-3)


def test_processes_whose_starter_is_killed_end_too(tmp_path):
    process = launched(tmp_path, "nothing", "--local_processes=2", "--config.train.duration=100000 steps")
    deadline = time.monotonic() + 300
    while not losses(tmp_path / "run"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    # The pipe is at its end when nobody is left who could write into it.
    process.communicate(timeout=30)


@pytest.mark.parametrize("word", ["kill", "kill_alone"])
def test_a_killed_process_ends_all_and_the_rest_is_the_same(two_processes, tmp_path, word):
    (status,), (said,) = ended(launched(tmp_path, word, "--local_processes=2"))
    end_in_time(tmp_path)
    assert status == 128 + signal.SIGKILL, said
    if word == "kill":
        assert "process 0 has lost another process of this run" in said
        (status,), (said,) = ended(launched(tmp_path, word, "--local_processes=2"))
        assert status == 0, said
        assert losses(tmp_path / "run") == losses(two_processes)
        assert evaluations(tmp_path / "run") == evaluations(two_processes)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("raise_alone", "RuntimeError: the reader of process 1 fell over"),
        ("refuse", "error: the file of process 1 is damaged: mend it"),
    ],
)
def test_what_one_process_fails_of_is_said_once_and_ends_all(tmp_path, word, sentence):
    # Nobody watches over them here.
    together = f"--coordinator=127.0.0.1:{free_port()}", "--num_processes=2"
    processes = [launched(tmp_path, word, *together, f"--process_id={i}") for i in range(2)]
    statuses, outputs = ended(*processes)
    end_in_time(tmp_path)
    assert statuses == [1, 1], outputs
    assert sentence in outputs[1]
    assert outputs[1].count("Traceback") == (word != "refuse")
    assert "Traceback" not in outputs[0]
    assert "the same command again resumes from it (" in outputs[0]


def slurm(number: int) -> dict[str, str]:
    """What Slurm tells a task of a step of two."""
    names = {"JOB_ID": 7, "STEP_NODELIST": "localhost", "NTASKS": 2, "STEP_NUM_TASKS": 2, "PROCID": number}
    return {f"SLURM_{name}": str(value) for name, value in (names | {"LOCALID": 0}).items()}


def open_mpi(number: int) -> dict[str, str]:
    """What mpirun tells a process of two."""
    names = {"COMM_WORLD_SIZE": 2, "COMM_WORLD_RANK": number, "COMM_WORLD_LOCAL_RANK": 0}
    address = {"MCA_orte_hnp_uri": "1531576320.0;tcp://127.0.0.1:34911"}
    return {f"OMPI_{name}": str(value) for name, value in (names | address).items()}


def test_tasks_of_slurm_join_by_themselves_and_train_as_one_under_the_other_wrapper(one_process, tmp_path):
    port, wrapper = {"JAX_COORDINATOR_PORT": str(free_port())}, "--config.train.wrapper=shard_map"
    processes = [launched(tmp_path, "nothing", wrapper, **slurm(number), **port) for number in range(2)]
    statuses, outputs = ended(*processes)
    assert statuses == [0, 0], outputs
    assert "examples seen" in outputs[0]
    assert outputs[1] == ""
    assert_same_to_rounding(one_process, tmp_path / "run")


def test_processes_of_open_mpi_join_by_themselves_and_a_mistake_of_all_is_said_once(tmp_path):
    port, mistake = {"JAX_COORDINATOR_PORT": str(free_port())}, "--config.train.batch_size=63"
    processes = [launched(tmp_path, "nothing", mistake, **open_mpi(number), **port) for number in range(2)]
    statuses, outputs = ended(*processes)
    assert statuses == [1, 1], outputs
    # Two devices: they have joined.
    assert outputs[0].startswith("error: train.batch_size is 63, which 2 devices")
    assert outputs[0].count("\n") == 1
    assert outputs[1] == ""
