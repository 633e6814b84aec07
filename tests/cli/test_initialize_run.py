"""`launch.py train` with layers of another run: said in one line, taken once, refused before anything is written."""

import json

import numpy as np
import pytest
from small_runs import CLASSIFICATION, TWO_STEPS

from convnets.cli.command_line import main
from convnets.training.run import load_run

TINY = (
    *CLASSIFICATION,
    *TWO_STEPS,
    "--config.train.average_decay=0.9",
    # So that what a run began with can be read from its checkpoint.
    "--config.optimizer.learning_rate=1e-30",
    "--config.optimizer.weight_decay=0.0",
)


def train(workdir, *fields: str) -> int:
    return main(["", "train", *TINY, f"--workdir={workdir}", *fields])


def parameters(folder):
    return load_run(folder, "last").variables["params"]


@pytest.mark.usefixtures("no_report")
def test_a_run_begins_with_the_layers_of_another_one_and_is_not_initialized_again(classifier, tmp_path, capsys):
    one, other = classifier, tmp_path / "other"
    begin = (f"--config.initialize.workdir={one}", "--config.initialize.layers=('conv1','fc3')", "--config.seed=1")
    capsys.readouterr()
    assert train(other, *begin) == 0
    said = capsys.readouterr().out
    assert f"begins with {one} at step 30: 4 taken, 6 new arrays" in " ".join(said.split())
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
    assert train(tmp_path / "run", *fields) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "initialize.workdir: " in said and "is not a workdir" in said
    assert not (tmp_path / "run").exists()
