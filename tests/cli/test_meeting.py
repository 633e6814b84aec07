"""Who joins whom: by the flags, by the cluster, or nobody; what is refused; and how processes are started and ended."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import jax
import pytest
from launching import ROOT

from convnets.cli import processes
from convnets.cli.failure import together
from convnets.cli.local_processes import LocalProcesses, free_port
from convnets.cli.processes import NOT_GIVEN, Cluster, Meeting, cluster_of, join, meeting_of, own_gpu
from convnets.errors import InvalidValue
from convnets.training import this_machine
from convnets.training.this_machine import Share

SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "node[1-2]", "SLURM_PROCID": "1"}
INDEXED = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}


@pytest.mark.parametrize(
    ("environment", "cluster"),
    [
        ({}, None),
        (SLURM | {"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4"}, Cluster("Slurm", 4)),
        # An interactive shell within an allocation of four tasks.
        (SLURM | {"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"}, Cluster("Slurm", 1)),
        # The script of sbatch itself, before srun.
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None),
        # mpirun in a job of Slurm.
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1", "OMPI_COMM_WORLD_SIZE": "3"}, Cluster("Open MPI", 3)),
        (INDEXED, Cluster("Kubernetes", None)),
        # A pod of no indexed job.
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b,c"}, Cluster("Cloud TPU", 3)),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, Cluster("Cloud TPU", 1)),
    ],
)
def test_a_cluster_is_known_by_its_environment(environment, cluster):
    assert cluster_of(environment) == cluster


@pytest.mark.parametrize(
    ("environment", "gpu"),
    [
        ({}, None),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "3", "SLURM_LOCALID": "0"}, 3),
        # One process for all GPUs of its node.
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}, None),
        ({"SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x16)"}, None),
        ({"SLURM_LOCALID": "7", "SLURM_STEP_TASKS_PER_NODE": "8(x4)"}, 7),
        ({"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "1(x2),2"}, 1),
        ({"SLURM_LOCALID": "7", "SLURM_STEP_TASKS_PER_NODE": "8", "JAX_LOCAL_DEVICE_IDS": "2"}, None),
    ],
)
def test_with_the_flags_too_processes_of_a_cluster_that_share_a_node_share_its_gpus(environment, gpu):
    assert own_gpu(environment) == gpu


@pytest.mark.parametrize(
    ("flags", "cluster", "meeting"),
    [
        (("", NOT_GIVEN, NOT_GIVEN), None, None),
        (("", NOT_GIVEN, NOT_GIVEN), Cluster("Slurm", 4), Meeting()),
        (("", NOT_GIVEN, NOT_GIVEN), Cluster("Slurm", 1), None),
        (("", NOT_GIVEN, NOT_GIVEN), Cluster("Kubernetes", None), Meeting()),
        # A trial in each task.
        (("", 1, NOT_GIVEN), Cluster("Slurm", 4), None),
        (("node1:1234", 2, 1), None, Meeting("node1:1234", 2, 1)),
        # Two jobs of a task each.
        (("node1:1234", 2, 1), Cluster("Slurm", 1), Meeting("node1:1234", 2, 1)),
        (("node1:1234", 4, 1), Cluster("Slurm", 4), Meeting("node1:1234", 4, 1)),
    ],
)
def test_flags_say_where_to_meet_or_else_the_cluster_does(flags, cluster, meeting):
    assert meeting_of(*flags, cluster) == meeting


@pytest.mark.parametrize(
    ("flags", "cluster", "sentence"),
    [
        (("", 0, NOT_GIVEN), None, r"--process_id must lie in \[0, --num_processes\), and they are not given and 0"),
        (("a:1", 2, 2), None, "and they are 2 and 2"),
        (("", 1, 1), None, "and they are 1 and 1"),
        (("a:1", 2, NOT_GIVEN), None, "--process_id is missing: give each process its own, 0 to 1"),
        (("", 2, 0), None, "--coordinator is missing: give host:port"),
        (("a:1", NOT_GIVEN, NOT_GIVEN), None, "--num_processes is missing"),
        (("", NOT_GIVEN, 0), None, "--num_processes is missing"),
        (("node1", 2, 0), None, "'node1', and must be host:port"),
        (("http://a:1", 2, 0), None, "must be host:port"),
        (("a:0", 2, 1), None, r"with a port in \[1, 65535\]"),
        (("a:65536", 2, 1), None, r"with a port in \[1, 65535\]"),
        (("a:1", 2, 0), Cluster("Slurm", 4), "--num_processes is 2, and Slurm has started 4: leave the flags out"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, cluster, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        meeting_of(*flags, cluster)


def test_a_coordinator_that_does_not_answer_is_refused_after_the_time_that_is_stated(monkeypatch):
    monkeypatch.setattr(processes, "ANSWERS_WITHIN", 0.5)
    where = f"127.0.0.1:{free_port()}"
    with pytest.raises(InvalidValue, match=rf"nobody answers at --coordinator={where} \(.*refused\), after 0.5 s"):
        join(Meeting(where, 2, 1), None)


def test_a_port_that_is_taken_is_refused():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(InvalidValue, match=f"the port of --coordinator={where} can't be had here.*already in use"):
            join(Meeting(where, 2, 0), None)


def test_processes_that_never_all_come_are_given_up_after_the_time_that_is_stated_in_a_sentence():
    where = f"127.0.0.1:{free_port()}"
    code = (
        "from convnets.cli import processes; processes.ANSWERS_WITHIN = 1; "
        f"processes.join(processes.Meeting({where!r}, 2, 0), None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the 2 processes did not meet at {where} within 1 s")
    assert done.stderr.count("\n") == 1


def test_a_cluster_that_jax_does_not_know_its_way_in_is_refused_with_both_ways_out(monkeypatch):
    # Newer releases of Open MPI leave out the address; a pod needs the client of Kubernetes.
    for cluster in (Cluster("Open MPI", 3), Cluster("Kubernetes", None)):
        with pytest.raises(InvalidValue, match=f"{cluster.name} seems to have started .* --num_processes=1 to train"):
            join(Meeting(), cluster)


def test_where_only_jax_knows_of_a_cluster_and_knows_none_a_process_trains_alone(monkeypatch):
    monkeypatch.setattr(processes, "find_spec", lambda name: name == "libtpu")
    cluster = cluster_of({})
    assert cluster == Cluster("Cloud TPU", None, certain=False)
    assert not join(meeting_of("", NOT_GIVEN, NOT_GIVEN, cluster), cluster)
    assert cluster_of({"JAX_PLATFORMS": "cpu"}) is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            jax.errors.JaxRuntimeError(
                "INTERNAL: NCCL operation ncclCommInitRank failed: no space in /dev/shm\nat 0x7f"
            ),
            "has lost another process of this run, .* resumes from it .INTERNAL: NCCL .* no space in /dev/shm.$",
        ),
        (InvalidValue("there is no folder /data/heartbeats"), "^error: there is no folder /data/heartbeats$"),
    ],
)
def test_the_words_of_an_error_are_said_whatever_it_is_taken_for(capsys, monkeypatch, error, said):
    def fail():
        raise error

    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit, match="1"):
        together(fail)
    captured = capsys.readouterr().err
    assert re.search(said, captured.strip())
    assert captured.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--local_processes=0"], "--local_processes is 0, and must lie in [1, 128]"),
        (["--local_processes=129"], "--local_processes is 129, and must lie in [1, 128]"),
        (["--local_processes=2", "--coordinator=a:1"], "--local_processes starts all processes itself: leave out"),
        (["--local_processes=2", "--num_processes=2"], "--local_processes starts all processes itself: leave out"),
        (["--local_processes=2", "--config.network.name=lenet6"], "unknown architecture 'lenet6'"),
        (["--num_processes=2", "--process_id=0"], "--coordinator is missing"),
    ],
)
def test_nothing_is_started_or_written_for_flags_that_do_not_fit(refused, tmp_path, flags, sentence):
    experiment = f"--config={ROOT / 'experiments/lenet_fashion_mnist.py'}"
    assert sentence in refused("train", experiment, f"--workdir={tmp_path / 'run'}", *flags)
    assert not (tmp_path / "run").exists()


def test_local_processes_within_a_job_of_several_tasks_are_refused(refused, tmp_path, monkeypatch):
    for name, value in (SLURM | {"SLURM_STEP_NUM_TASKS": "4"}).items():
        monkeypatch.setenv(name, value)
    said = refused("train", "--config=x", f"--workdir={tmp_path}", "--local_processes=2")
    assert "Slurm has started 4: leave it out to join those" in said


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """The exit status of two processes of a program, whose `number` is theirs, after so many Ctrl-C."""

    def run(program: str, interrupts: int) -> int:
        head = "import os, signal, sys, time\nnumber = int(sys.argv[-1].partition('=')[2])"
        tail = "open(f'ready{number}', 'w').close()\ntime.sleep(60)"
        monkeypatch.setattr(this_machine, "PROGRAM", (sys.executable, "-c", f"{head}\n{program}\n{tail}"))
        monkeypatch.chdir(tmp_path)
        processes = LocalProcesses([], [Share(), Share()])
        if interrupts:
            threading.Thread(target=interrupt, args=(interrupts,), daemon=True).start()
        return processes.run()

    def interrupt(times: int) -> None:
        while len(list(tmp_path.glob("ready*"))) < 2:
            time.sleep(0.02)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    return run


@pytest.mark.parametrize(
    ("program", "interrupts", "status"),
    [
        ("sys.exit(0)", 0, 0),
        # The one that failed first, and not the one that only lost it.
        ("sys.exit(1 if number else 3)", 0, 3),
        ("os.kill(os.getpid(), 9) if number else None", 0, 128 + 9),
        ("signal.signal(signal.SIGINT, signal.SIG_DFL)", 1, 128 + signal.SIGINT),
        ("signal.signal(signal.SIGINT, signal.SIG_IGN)", 2, 128 + signal.SIGKILL),
    ],
)
def test_one_that_fails_or_a_signal_ends_all_and_the_exit_status_says_which(
    launched, monkeypatch, program, interrupts, status
):
    monkeypatch.setattr("convnets.cli.local_processes.GRACE", 0.2)
    assert launched(program, interrupts) == status
