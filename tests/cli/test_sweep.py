"""Sweeps of real short trainings, each trial a process: what comes of them, and that they are resumed after any end."""

import json
import signal
import sqlite3
from pathlib import Path

import pytest
from launching import launch, needs_data, start
from sweeping import experiment, until

from convnets.cli.command_line import main
from convnets.training.metrics_log import read_records

GRID = (
    'yield from product(grid({"optimizer.learning_rate": (0.02,)}), seeds(2)); yield {"optimizer.learning_rate": 1e38}'
)
SEARCH = 'yield {"optimizer.learning_rate": log_uniform(0.01, 0.1)}'


@pytest.fixture(autouse=True, scope="module")
def _trials_have_one_device():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=1")
        yield


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[str, Path]:
    """The flag of an experiment and the workdir of its finished sweep."""
    folder = tmp_path_factory.mktemp("sweep")
    flag = experiment(folder, GRID)
    assert main(["", "sweep", flag, f"--workdir={folder / 'sweep'}", "--parallel=2"]) == 0
    return flag, folder / "sweep"


def results(workdir: Path) -> dict:
    return json.loads((workdir / "sweep.json").read_text())


def validations(workdir: Path) -> list[float]:
    records = read_records(workdir / "metrics.jsonl")
    return [r["top1"] for r in records if r["kind"] == "evaluation" and r["split"] == "validation"]


@needs_data()
@pytest.mark.processes
def test_each_trial_is_a_run_of_its_own_with_its_values_and_one_that_fails_does_not_stop_the_others(swept):
    _, workdir = swept
    *complete, failed = results(workdir)["trials"]
    for seed, trial in enumerate(complete):
        assert trial["state"] == "complete"
        config = json.loads((workdir / trial["workdir"] / "config.json").read_text())
        assert (config["optimizer"]["learning_rate"], config["seed"]) == (0.02, seed)
        assert trial["history"] == validations(workdir / trial["workdir"])
        assert trial["value"] == max(trial["history"]) and len(trial["history"]) == 2
        assert trial["test"] == json.loads((workdir / trial["workdir"] / "summary.json").read_text())["top1"]
        assert (trial["step"], trial["steps"]) == (40, 40)
    assert failed["state"] == "failed" and failed["error"].startswith("the loss of step 1 is ")
    assert "error: " + failed["error"] in (workdir / "trials/0002/output.log").read_text()
    assert sorted(path.name for path in (workdir / "plots").iterdir()) == ["best_so_far.png", "trials.png"]


@needs_data()
@pytest.mark.processes
def test_a_finished_sweep_started_again_changes_nothing_and_another_one_is_refused(swept, tmp_path, said, refused):
    flag, workdir = swept
    before = (workdir / "study.db").read_bytes()
    rows = said("sweep", flag, f"--workdir={workdir}", "--parallel=2")
    assert (workdir / "study.db").read_bytes() == before
    assert [(row["state"], row["seeds"], row["trials"]) for row in rows] == [
        ("complete", 2, [0, 1]),
        ("failed", 1, [2]),
    ]
    words = "3 fixed trials there and 2 here, which differ in the fields optimizer.learning_rate"
    assert words in refused("sweep", experiment(tmp_path, "yield from seeds(2)"), f"--workdir={workdir}")
    words = "train.batch_size is 32 there and 64 here"
    assert words in refused("sweep", flag, f"--workdir={workdir}", "--config.train.batch_size=64")


@needs_data()
@pytest.mark.processes
def test_the_best_config_trains_to_the_same_metric(swept, tmp_path):
    _, workdir = swept
    status, said = launch(["train", f"--config={workdir / 'best.json'}", f"--workdir={tmp_path}"])
    assert status == 0, said
    found = results(workdir)
    assert validations(tmp_path) == found["trials"][found["best"]]["history"]


@needs_data()
@pytest.mark.processes
def test_a_sweep_that_is_killed_resumes_in_the_same_workdirs_and_is_stopped_by_a_signal(tmp_path):
    # A storage of its own, as several machines share it: that the worker was killed is known by its heartbeats alone.
    arguments = [
        *("sweep", experiment(tmp_path, 'yield {"train.duration": "2000 steps"}')),
        *(f"--workdir={tmp_path / 'sweep'}", "--heartbeat=1", f"--storage=sqlite:///{tmp_path / 'shared.db'}"),
    ]
    trial = tmp_path / "sweep" / "trials" / "0000"

    def last_step() -> int:
        return max((record["step"] for record in read_records(trial / "metrics.jsonl")), default=0)

    with start(arguments) as process:
        until(lambda: last_step() >= 10, process)
        process.kill()
        process.wait()
    # Its trial is an orphan now; the next sweep has it save and end, and resumes it.
    with start(arguments) as process:
        until(lambda: "resuming at step" in (trial / "output.log").read_text(), process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGINT, said
    assert "stopped by SIGINT, and saved: the same command again resumes it" in said
    log = (trial / "output.log").read_text()
    stopped_at = log.split("stopped by SIGTERM at step ")[1].split()[0]
    assert int(stopped_at) >= 10 and f"resuming at step {stopped_at} of 2000" in log
    (row,) = results(tmp_path / "sweep")["trials"]
    assert row["state"] == "waiting" and row["workdir"] == "trials/0000"
    assert [path.name for path in (tmp_path / "sweep" / "trials").iterdir()] == ["0000"]


@needs_data()
@pytest.mark.cluster
def test_workers_of_slurm_share_the_trials_on_this_machine_where_there_is_no_sbatch(tmp_path):
    workdir = tmp_path / "sweep"
    arguments = ["sweep", experiment(tmp_path, "yield from seeds(2)"), f"--workdir={workdir}", "--engine=slurm"]
    status, said = launch([*arguments, "--workers=2", "--slurm=cluster=local,cpus_per_task=1"])
    assert status == 0, said
    assert [trial["state"] for trial in results(workdir)["trials"]] == ["complete", "complete"]
    with sqlite3.connect(workdir / "study.db") as database:
        workers = database.execute("select value_json from trial_user_attributes where key = 'worker'").fetchall()
    assert len(set(workers)) == 2, "each worker ran one of the two"


@pytest.mark.parametrize(
    ("sweep", "flags", "sentence"),
    [
        ("yield {'optimizer.learning_rat': 0.1}", (), "did you mean 'optimizer.learning_rate'"),
        ("yield {'optimizer.learning_rate': log_uniform(0, 1)}", (), "log_uniform(0, 1) needs bounds above zero"),
        (SEARCH, ("--config.validation.examples=0",), "set validation.examples above 0"),
        (SEARCH, ("--trials=-1",), "--trials is -1, and must be at least 0"),
        (SEARCH, ("--pruner=medain",), "unknown --pruner 'medain': did you mean 'median'"),
        (SEARCH, ("--engine=slurn",), "unknown engine 'slurn': did you mean 'slurm'"),
        (SEARCH, ("--engine=slurm", "--slurm=gpu"), "--slurm takes name=value,name=value, and was given 'gpu'"),
        (SEARCH, ("--slurm=partition=gpu",), "--slurm is for the engine slurm, and --engine is 'local'"),
        (SEARCH, ("--workers=8",), "--workers is for the engine slurm, and --engine is 'local': give --engine=slurm"),
        (SEARCH, ("--address=auto",), "--address is for the engine ray"),
        ("pass\n\n\nsweep = [{'seed': 0}]", (), "has no sweep(), which yields what its trials differ in: write 'def "),
        (SEARCH, ("--storage=sqlite:////nowhere/study.db",), "can't be reached (unable to open database file)"),
        (SEARCH, ("--parallel=10000",), "--parallel is 10000, and this machine has"),
        (SEARCH, ("--heartbeat=0",), "--heartbeat is 0, and must be at least 1"),
        ("yield from seeds(3)", ("--trials=2",), "sweep() yields 3 fixed trials: leave it out"),
        (SEARCH + "; yield from grid({'optimizer.learning_rate': (0.02, 0.03)})", ("--trials=1",), "it needs as many"),
        (SEARCH, ("stray",), "takes flags only"),
    ],
)
@needs_data()
def test_a_mistake_is_refused_in_one_sentence_before_a_trial_is_begun(tmp_path, refused, sweep, flags, sentence):
    workdir = tmp_path / "sweep"
    assert sentence in refused("sweep", experiment(tmp_path, sweep), f"--workdir={workdir}", *flags)
    assert not (workdir / "trials").exists()


@pytest.mark.processes
def test_a_sweep_whose_trials_all_fail_is_no_success(tmp_path, refused):
    workdir = tmp_path / "sweep"
    flag = experiment(tmp_path, "yield from seeds(1)")
    said = refused("sweep", flag, f"--workdir={workdir}", "--data_dir=/nowhere")
    assert "no trial came to its end" in said
    assert "are not in /nowhere" in results(workdir)["trials"][0]["error"]
