"""`launch.py train` with layers of another run: said in one line, taken once, refused before anything is written."""

import json

import numpy as np
import pytest
from launching import EXPERIMENT, ROOT, needs_data

from convnets.cli.command_line import main
from convnets.training.checkpoints import restore_variables
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir

TINY = (
    EXPERIMENT,
    "--config.train.batch_size=64",
    "--config.validation.examples=59000",
    "--config.evaluation.batch_size=2000",
    "--config.schedule.warmup=0 steps",
    "--config.train.average_decay=0.9",
    # So that what a run began with can be read from its checkpoint.
    "--config.optimizer.learning_rate=1e-30",
    "--config.optimizer.weight_decay=0.0",
)
pytestmark = needs_data()


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def train(workdir, *fields: str) -> int:
    return main(["launch.py", "train", *TINY, f"--workdir={workdir}", *fields])


def parameters(folder):
    workdir = Workdir(folder)
    config = workdir.config()
    return restore_variables(workdir, config, build_model(config, workdir.info()), "last")[1]["params"]


def test_a_run_begins_with_the_layers_of_another_one_and_is_not_initialized_again(tmp_path, capsys):
    one, other = tmp_path / "one", tmp_path / "other"
    assert train(one, "--config.train.duration=2 steps") == 0
    begin = (f"--config.initialize.workdir={one}", "--config.initialize.layers=('conv1','fc3')", "--config.seed=1",
             "--config.train.duration=2 steps")  # fmt: skip
    capsys.readouterr()
    assert train(other, *begin) == 0
    said = capsys.readouterr().out
    assert f"begins with {one} at step 2: 4 taken, 6 new arrays" in " ".join(said.split())
    kept = json.loads((other / "initialization.json").read_text())
    assert {entry["name"] for entry in kept["arrays"] if entry["what"] == "taken"} == {
        f"{layer}/{name}" for layer in ("conv1", "fc3") for name in ("kernel", "bias")
    }
    here, there = parameters(other), parameters(one)
    for layer in here:
        same = all(np.allclose(here[layer][name], there[layer][name], 1e-5) for name in here[layer])
        assert same == (layer in ("conv1", "fc3")), layer
    assert train(other, *begin) == 0
    said = capsys.readouterr().out
    assert "resuming at step 2 of 2" in said and "begins with" not in said


def test_layers_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, capsys):
    fields = (f"--config.initialize.workdir={tmp_path / 'none'}", "--config.initialize.layers=('conv1',)")
    assert train(tmp_path / "run", "--config.train.duration=2 steps", *fields) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "initialize.workdir: " in said and "is not a workdir" in said
    assert not (tmp_path / "run").exists()
