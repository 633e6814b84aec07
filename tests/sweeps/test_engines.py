"""Engines by their names, the options of Slurm, and what Ray's trials are given and report."""

import pickle
import signal
import socket
from types import SimpleNamespace

import pytest
from small_sweeps import RATE, Playback, small_sweep

from convnets.errors import InvalidValue
from convnets.sweeps import engines
from convnets.sweeps.engines import Entry, engine, slurm
from convnets.sweeps.trial_process import Lost, StillTrains
from convnets.training.this_machine import Share


class Screen:
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)


@pytest.mark.parametrize("name", engines.ENGINES)
def test_every_engine_runs_a_sweep(name):
    for package in engines.ENGINES[name].packages:
        pytest.importorskip(package, reason=f"{package} is not installed: {engines.ENGINES[name].install}")
    assert callable(engine(name).run)


def test_an_engine_that_is_unknown_or_not_or_partly_installed_is_refused_and_says_how(tmp_path, monkeypatch):
    (tmp_path / "partly_there.py").write_text('raise ImportError("can\'t import its core\\nwith details")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(engines.ENGINES, "nowhere", Entry("nowhere", ("nonsense",), "pip install nonsense"))
    monkeypatch.setitem(engines.ENGINES, "partly", Entry("partly_there", ("json",), "pip install all-of-it"))
    for name, words in {
        "slurn": "unknown engine 'slurn': did you mean 'slurm'",
        "nowhere": "needs nonsense: pip install nonsense",
        "partly": r"needs more than is installed \(can't import its core\): pip install all-of-it",
    }.items():
        with pytest.raises(InvalidValue, match=words):
            engine(name)


def executor_of(tmp_path, monkeypatch, **options):
    # The workers' path to the program is put there.
    monkeypatch.setenv("PYTHONPATH", "")
    screen = Screen()
    return slurm._executor(small_sweep(tmp_path / "sweep", {"seed": 0}, options=options), screen), screen


def test_options_go_to_slurm_as_it_names_them(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: "/usr/bin/sbatch")
    given = {"partition": "gpu", "gpus_per_node": "2", "timeout_min": "240", "mem_gb": "16", "exclude": "node7"}
    monkeypatch.setattr("submitit.slurm.slurm.SlurmExecutor.affinity", classmethod(lambda cls: 2))
    monkeypatch.setattr("submitit.slurm.slurm.shutil.which", lambda name: "/usr/bin/srun")
    executor, screen = executor_of(tmp_path, monkeypatch, **given)
    assert executor.cluster == "slurm" and "give a --storage" in screen.said[0]
    text = executor._executor._make_submission_file_text("command", "id")
    for line in ("partition=gpu", "gpus-per-node=2", "time=240", "mem=16GB", "exclude=node7", "job-name=sweep"):
        assert f"#SBATCH --{line}\n" in text


def test_without_sbatch_the_workers_are_processes_here_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    executor, screen = executor_of(tmp_path, monkeypatch, partition="gpu")
    assert executor.cluster == "local" and "no sbatch here" in screen.said[0]
    assert executor.parameters["timeout_min"] > 60


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"partitoin": "gpu"}, "--slurm has no option 'partitoin': did you mean 'partition'"),
        ({"cluster": "pbs"}, "cluster is 'pbs', and must be one of slurm, local"),
        ({"gpus_per_node": "two"}, '--slurm: Parameter "gpus_per_node" expected type'),
    ],
)
def test_other_options_are_refused(tmp_path, monkeypatch, options, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        executor_of(tmp_path, monkeypatch, **options)


def test_at_the_end_of_a_jobs_time_its_trials_are_saved_and_it_is_queued_again(tmp_path):
    sweep = small_sweep(tmp_path, {"seed": 0})
    work, asked = slurm.Work(sweep), []
    work._worker = SimpleNamespace(stop=lambda: asked.append("stop"), join=lambda: asked.append("join"))
    again = work.checkpoint(3)
    assert asked == ["stop", "join"]
    assert again.args == (3,) and again.function.sweep == sweep
    assert pickle.loads(pickle.dumps(again.function)).sweep.workdir == tmp_path


@pytest.fixture
def ray_cluster():
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    from convnets.sweeps.engines import ray_cluster

    return ray_cluster


LAPTOP = {"CPU": 4.0, "memory": 1e9}
SERVER = {"CPU": 64.0, "GPU": 8.0}
HEAD = {"memory": 1e9}


@pytest.mark.parametrize(
    ("nodes", "parallel", "share", "at_once"),
    [
        ([LAPTOP], 0, {"CPU": 4}, 1),
        ([LAPTOP, {"CPU": 10.0}], 3, {"CPU": 1}, 14),
        ([HEAD, SERVER], 0, {"CPU": 8, "GPU": 1}, 8),
        # Where there are GPUs, the other nodes have no trials.
        ([LAPTOP, SERVER], 2, {"CPU": 32, "GPU": 4}, 2),
        ([SERVER, {"CPU": 8.0, "GPU": 4.0}], 0, {"CPU": 2, "GPU": 1}, 12),
        ([{"CPU": 1.0, "GPU": 2.0}], 0, {"CPU": 1, "GPU": 1}, 1),
        ([{"CPU": 208.0, "TPU": 4.0}], 1, {"CPU": 208, "TPU": 4}, 1),
    ],
)
def test_the_smallest_node_of_ray_has_room_for_so_many_trials(
    ray_cluster, monkeypatch, nodes, parallel, share, at_once
):
    described = [{"Alive": True, "Resources": node} for node in nodes] + [{"Alive": False, "Resources": {"CPU": 1}}]
    monkeypatch.setattr(ray_cluster.ray, "nodes", lambda: described)
    assert ray_cluster.share_of_a_trial(parallel) == share
    assert ray_cluster.trials_at_once(share) == at_once


@pytest.mark.parametrize(
    ("nodes", "parallel", "words"),
    [
        ([SERVER], 9, "--parallel is 9, and a node has 8 GPUs for trials: each needs one"),
        ([LAPTOP], 5, "--parallel is 5, and a node has 4 CPUs for trials: each needs one"),
        ([HEAD], 0, "no node of the cluster has a CPU for trials"),
    ],
)
def test_more_trials_than_a_node_has_room_for_are_refused(ray_cluster, monkeypatch, nodes, parallel, words):
    monkeypatch.setattr(ray_cluster.ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
    with pytest.raises(InvalidValue, match=words):
        ray_cluster.share_of_a_trial(parallel)


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "somewhere", ":6379", "127.0.0.1:port"])
def test_an_address_of_another_form_is_refused(ray_cluster, address):
    with pytest.raises(InvalidValue, match="must be HOST:PORT of the head node"), ray_cluster.cluster(address):
        pass


def test_what_does_not_answer_or_is_no_cluster_is_refused_in_the_stated_time(ray_cluster, monkeypatch):
    monkeypatch.setattr(ray_cluster, "SECONDS_TO_JOIN", 1.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InvalidValue, match="no cluster of Ray's answers at --address=127"):
            ray_cluster._check_address(address)
        other.listen()
        with pytest.raises(InvalidValue, match="no answer of Ray's within 1 seconds"):
            ray_cluster._check_address(address)


class FakeRay:
    """Calls an actor's methods in this process; one that was killed, or whose node is `lost`, answers no more."""

    def __init__(self, errors):
        self.errors, self.killed, self.has_node, self.lost = errors, False, True, False

    def remote(self, actor_class):
        self.actor = actor_class()
        return SimpleNamespace(options=self._options)

    def _options(self, **options):
        self.options = options
        calls = {name: SimpleNamespace(remote=self._later(name)) for name in ("begin", "look", "stop")}
        return SimpleNamespace(remote=lambda: SimpleNamespace(**calls))

    def _later(self, name):
        return lambda *given: self.actor.stop() if name == "stop" else (lambda: getattr(self.actor, name)(*given))

    def wait(self, answers, timeout):
        return (answers, []) if self.has_node or self.killed else ([], answers)

    def get(self, answer):
        if self.killed or self.lost:
            raise self.errors.RayActorError
        try:
            return answer()
        except Exception as error:
            raise self.errors.RayTaskError("begin", "", error) from None

    def kill(self, actor):
        self.killed = True


@pytest.fixture
def remote(ray_cluster, tmp_path, monkeypatch):
    """Begins trial 3 on a `FakeRay`, with a process that is played back; returns it and what was said."""
    from ray import exceptions

    from convnets.sweeps.engines import ray_actors

    monkeypatch.chdir(tmp_path)

    def begin(playback, values=None):
        fake = FakeRay(exceptions)
        monkeypatch.setattr(ray_actors, "ray", fake)
        monkeypatch.setattr(ray_actors, "TrialProcess", playback)
        sweep = small_sweep(tmp_path, values or {"seed": 3})
        config = sweep.config_of(sweep.space.fixed[0])
        screen = Screen()
        resources = {"CPU": 8, "TPU": 4}
        return ray_actors.RemoteProcess(resources, screen, sweep.folder(3), config, Share()), fake, screen

    return begin


def test_a_remote_process_reports_as_one_of_this_machine_and_gives_its_share_back(remote):
    process, fake, _ = remote(Playback((0.5, 0.6)))
    assert fake.options == {"num_cpus": 8, "num_gpus": 0, "resources": {"TPU": 4}}
    told = []
    while (status := process.wait(1)) is None:
        told += [(record["step"], record["top1"]) for record in process.new_evaluations()]
    told += [(record["step"], record["top1"]) for record in process.new_evaluations()]
    assert (status, told, process.steps, fake.killed) == (0, [(10, 0.5), (20, 0.6)], 20, True)
    process, *_ = remote(Playback(), {RATE: 0.02})
    assert (process.wait(), process.error()) == (1, "its last line")


def test_what_a_signal_ended_or_whose_node_is_gone_is_lost(remote):
    process, _, screen = remote(Playback((), statuses=[-9]))
    with pytest.raises(Lost, match="its last line"):
        process.wait()
    assert process.wait(0) is not None and screen.said == [
        "trial 0003 has lost its process or its node (its last line)"
    ]
    process, fake, _ = remote(Playback(never_ends=True))
    process.wait(0)
    fake.lost = True
    with pytest.raises(Lost):
        process.wait()


def test_a_remote_process_is_stopped_or_never_started(remote):
    process, *_ = remote(Playback(never_ends=True))
    process.wait(0)
    process.stop()
    assert process.wait() == 128 + signal.SIGTERM
    process, fake, _ = remote(Playback(never_ends=True))
    fake.has_node = False
    assert process.wait(0) is None
    process.stop()
    assert process.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("refusal", [InvalidValue("its workdir can't be written"), StillTrains("on node7")])
def test_what_is_refused_on_a_node_is_refused_here(remote, refusal):
    def refuse(*_):
        raise refusal

    process, *_ = remote(refuse)
    with pytest.raises(type(refusal), match=str(refusal)):
        process.wait()
