"""Sweeps of real short trainings, each trial a process: what comes of them, and that they go on after any end."""

import json
import signal
import sqlite3
from pathlib import Path

import optuna
import pytest
from launching import ROOT, launch, needs_data, start
from sweeping import experiment, until

from convnets.cli.command_line import main
from convnets.training.metrics_log import read_records

pytestmark = needs_data()

GRID = """yield from product(grid({"optimizer.learning_rate": (0.02,)}), seeds(2))
    yield from grid({"optimizer.learning_rate": (0.1, 1e38)})"""
ONE_LONG = 'yield {"train.duration": "2000 steps"}'
SEARCH = 'yield {"optimizer.learning_rate": log_uniform(0.01, 0.1)}'


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[str, Path, str]:
    """The flag of an experiment, the workdir of its finished sweep, and what the sweep said."""
    folder = tmp_path_factory.mktemp("sweep")
    flag = experiment(folder, GRID)
    status, said = launch(["sweep", flag, f"--workdir={folder / 'sweep'}", "--parallel=2"])
    assert status == 0, said
    return flag, folder / "sweep", said


def results(workdir: Path) -> dict:
    return json.loads((workdir / "sweep.json").read_text())


def validations(workdir: Path) -> list[float]:
    records = read_records(workdir / "metrics.jsonl")
    return [r["top1"] for r in records if r["kind"] == "evaluation" and r["split"] == "validation"]


def test_a_failing_trial_is_recorded_with_its_error_and_does_not_stop_the_others(swept):
    _, workdir, said = swept
    trials = results(workdir)["trials"]
    assert [trial["state"] for trial in trials] == ["complete"] * 3 + ["failed"]
    assert trials[3]["error"].startswith("the loss of step 1 is ")
    assert "error: " + trials[3]["error"] in (workdir / "trials/0003/output.log").read_text()
    assert f"trial 3: {trials[3]['error']}" in said


def test_each_trial_is_a_run_of_its_own_with_its_values(swept):
    _, workdir, _ = swept
    for trial, (rate, seed) in zip(results(workdir)["trials"], [(0.02, 0), (0.02, 1), (0.1, 0)], strict=False):
        config = json.loads((workdir / trial["workdir"] / "config.json").read_text())
        assert (config["optimizer"]["learning_rate"], config["seed"]) == (rate, seed)
        assert trial["history"] == validations(workdir / trial["workdir"])
        assert trial["value"] == max(trial["history"]) and len(trial["history"]) == 2
        assert trial["test"] == json.loads((workdir / trial["workdir"] / "summary.json").read_text())["top1"]
        assert (trial["step"], trial["steps"]) == (40, 40)


def test_rows_have_mean_and_deviation_over_the_seeds_and_the_best_stands_first(swept, capsys, monkeypatch):
    flag, workdir, _ = swept
    monkeypatch.chdir(ROOT)
    before = (workdir / "study.db").read_bytes()
    assert main(["launch.py", "sweep", flag, f"--workdir={workdir}", "--parallel=2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert (workdir / "study.db").read_bytes() == before, "a finished sweep started again changes nothing"
    one, other, better, _ = (trial["value"] for trial in results(workdir)["trials"])
    of_rate = {row["values"]["optimizer.learning_rate"]: row for row in rows}
    assert of_rate[0.02]["mean"] == pytest.approx((one + other) / 2) and of_rate[0.02]["seeds"] == 2
    assert of_rate[0.02]["deviation"] == pytest.approx(abs(one - other) / 2**0.5)
    assert (of_rate[0.1]["mean"], of_rate[0.1]["deviation"]) == (better, None)
    assert rows[0]["mean"] == max(better, (one + other) / 2)
    assert rows[2]["state"] == "failed" and rows[2]["mean"] is None


def test_the_best_config_trains_to_the_same_figure(swept, tmp_path):
    _, workdir, said = swept
    assert f"launch.py train --config={workdir / 'best.json'} --workdir=..." in said
    status, said = launch(["train", f"--config={workdir / 'best.json'}", f"--workdir={tmp_path}"])
    assert status == 0, said
    found = results(workdir)
    assert validations(tmp_path) == found["trials"][found["best"]]["history"]


def test_there_are_pictures(swept):
    _, workdir, _ = swept
    assert sorted(path.name for path in (workdir / "plots").iterdir()) == ["best_so_far.png", "trials.png"]


def test_another_sweep_in_the_workdir_is_refused(swept, tmp_path, capsys, monkeypatch):
    _, workdir, _ = swept
    monkeypatch.chdir(ROOT)
    other = experiment(tmp_path, "yield from seeds(2)")
    assert main(["launch.py", "sweep", other, f"--workdir={workdir}"]) == 1
    said = capsys.readouterr().err
    assert "4 fixed trials there and 2 here, which differ in the fields optimizer.learning_rate" in said
    assert main(["launch.py", "sweep", swept[0], f"--workdir={workdir}", "--config.train.batch_size=64"]) == 1
    assert "train.batch_size is 32 there and 64 here" in capsys.readouterr().err


def test_a_sweep_that_is_killed_goes_on_in_the_same_workdirs_and_is_stopped_by_a_signal(tmp_path):
    # A storage of its own, as several machines share it: that the worker was killed is known by its heartbeats alone.
    arguments = [
        *("sweep", experiment(tmp_path, ONE_LONG), f"--workdir={tmp_path / 'sweep'}", "--heartbeat=1"),
        f"--storage=sqlite:///{tmp_path / 'shared.db'}",
    ]
    trial = tmp_path / "sweep" / "trials" / "0000"

    def last_step() -> int:
        return max((record["step"] for record in read_records(trial / "metrics.jsonl")), default=0)

    with start(arguments) as process:
        until(lambda: last_step() >= 10, process)
        process.kill()
        process.wait()
    # Its trial is an orphan now; the next sweep has it save and end, and goes on with it.
    with start(arguments) as process:
        until(lambda: "resuming at step" in (trial / "output.log").read_text(), process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT, said
    assert "stopped by SIGINT, and saved: the same command again goes on from there" in said
    log = (trial / "output.log").read_text()
    stopped_at = log.split("stopped by SIGTERM at step ")[1].split()[0]
    assert int(stopped_at) >= 10 and f"resuming at step {stopped_at} of 2000" in log
    (row,) = results(tmp_path / "sweep")["trials"]
    assert row["state"] == "waiting" and row["workdir"] == "trials/0000"
    assert [path.name for path in (tmp_path / "sweep" / "trials").iterdir()] == ["0000"]


def test_a_trial_that_is_worse_than_the_others_is_pruned_and_saved(tmp_path):
    flag, workdir = experiment(tmp_path, SEARCH), tmp_path / "sweep"
    longer = "--config.train.duration=400 steps"
    with start(["sweep", flag, f"--workdir={workdir}", "--trials=6", longer]) as process:
        # Five others, as good as can be, while the first one begins.
        until((workdir / "trials" / "0000" / "output.log").exists, process)
        storage = optuna.storages.RDBStorage(f"sqlite:///{workdir / 'study.db'}")
        (study_name,) = optuna.get_all_study_names(storage)
        study = optuna.load_study(study_name=study_name, storage=storage)
        distribution = optuna.distributions.FloatDistribution(0.01, 0.1, log=True)
        for number in range(5):
            study.add_trial(
                optuna.create_trial(
                    value=1.0,
                    params={"optimizer.learning_rate": 0.02 + 0.01 * number},
                    distributions={"optimizer.learning_rate": distribution},
                    intermediate_values=dict.fromkeys(range(1, 21), 1.0),
                )
            )
        storage.remove_session()
        storage.engine.dispose()
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    pruned, *others = results(workdir)["trials"]
    assert pruned["state"] == "pruned" and {other["state"] for other in others} == {"complete"}
    assert pruned["history"] == validations(workdir / "trials" / "0000")
    assert 1 <= len(pruned["history"]) < 10
    assert "stopped by SIGTERM at step" in (workdir / "trials" / "0000" / "output.log").read_text()
    assert pruned["value"] == max(pruned["history"])


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
        ("pass\n\n\nsweep = [{'seed': 0}]", (), "has no sweep(), which yields what its trials differ in"),
        (SEARCH, ("--storage=sqlite:////nowhere/study.db",), "can't be reached (unable to open database file)"),
        (SEARCH, ("--parallel=10000",), "--parallel is 10000, and this machine has"),
        (SEARCH, ("--heartbeat=0",), "--heartbeat is 0, and must be at least 1"),
        ("yield from seeds(3)", ("--trials=2",), "sweep() yields 3 fixed trials: leave it out"),
        (SEARCH + "; yield from grid({'optimizer.learning_rate': (0.02, 0.03)})", ("--trials=1",), "it needs as many"),
        (SEARCH, ("stray",), "takes flags only"),
    ],
)
def test_a_mistake_is_refused_in_one_sentence_before_a_trial_is_begun(
    tmp_path, capsys, monkeypatch, sweep, flags, sentence
):
    monkeypatch.chdir(ROOT)
    workdir = tmp_path / "sweep"
    assert main(["launch.py", "sweep", experiment(tmp_path, sweep), f"--workdir={workdir}", *flags]) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.startswith("error: ") and said.count("\n") == 1
    assert not (workdir / "trials").exists()


def test_an_experiment_without_sweep_is_told_how_to_write_one(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = ["--config=experiments/lenet_fashion_mnist.py", f"--workdir={tmp_path / 'sweep'}"]
    assert main(["launch.py", "sweep", *arguments]) == 1
    assert "has no sweep(), which yields what its trials differ in: write 'def sweep():" in capsys.readouterr().err


def test_a_sweep_whose_trials_all_fail_is_no_success(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    workdir = tmp_path / "sweep"
    flag = experiment(tmp_path, "yield from seeds(1)")
    assert main(["launch.py", "sweep", flag, f"--workdir={workdir}", "--data_dir=/nowhere"]) == 1
    assert "no trial came to its end" in capsys.readouterr().err
    assert "are not in /nowhere" in results(workdir)["trials"][0]["error"]
