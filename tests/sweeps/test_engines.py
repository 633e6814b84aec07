"""Engines by their names, and the options of a cluster."""

import pickle

import pytest
from small_sweeps import small_sweep

from convnets.errors import InvalidValue
from convnets.sweeps import engines
from convnets.sweeps.engines import Entry, engine, slurm


class Screen:
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)

    def show(self, trials):
        pass


@pytest.mark.parametrize("name", engines.ENGINES)
def test_every_engine_runs_a_sweep(name):
    for package in engines.ENGINES[name].packages:
        pytest.importorskip(package, reason=f"{package} is not installed: {engines.ENGINES[name].install}")
    assert callable(engine(name).run)


def test_an_unknown_engine_is_refused_and_one_that_is_not_installed_says_how(monkeypatch):
    with pytest.raises(InvalidValue, match="unknown engine 'slurn': did you mean 'slurm'"):
        engine("slurn")
    entry = Entry("convnets.sweeps.engines.nowhere", ("nonsense",), "pip install -r requirements-nonsense.txt")
    monkeypatch.setitem(engines.ENGINES, "nonsense", entry)
    with pytest.raises(InvalidValue) as refusal:
        engine("nonsense")
    assert "needs nonsense: pip install -r requirements-nonsense.txt" in str(refusal.value)


def test_an_engine_that_is_installed_in_part_says_how(tmp_path, monkeypatch):
    (tmp_path / "partly_there.py").write_text('raise ImportError("can\'t import its tune\\nwith details")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(engines.ENGINES, "partly", Entry("partly_there", ("json",), "pip install -r all-of-it.txt"))
    with pytest.raises(InvalidValue) as refusal:
        engine("partly")
    assert "needs more than is installed (can't import its tune): pip install -r all-of-it.txt" in str(refusal.value)


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
    with pytest.raises(InvalidValue) as refusal:
        executor_of(tmp_path, monkeypatch, **options)
    assert sentence in str(refusal.value)


class Recorded:
    """In the place of a worker: notes what it is asked."""

    def __init__(self):
        self.asked = []

    def stop(self):
        self.asked.append("stop")

    def join(self):
        self.asked.append("join")


def test_at_the_end_of_a_jobs_time_its_trials_are_saved_and_it_is_queued_again(tmp_path):
    sweep = small_sweep(tmp_path, {"seed": 0})
    work = slurm.Work(sweep)
    work._worker = Recorded()
    again = work.checkpoint(3)
    assert work._worker.asked == ["stop", "join"]
    assert again.args == (3,) and again.function.sweep == sweep
    assert pickle.loads(pickle.dumps(again.function)).sweep.workdir == tmp_path
