"""`launch.py probe` and `launch.py transfer` on real Fashion-MNIST, for seconds."""

import json

import numpy as np
import pytest
from launching import EXPERIMENT, ROOT, needs_data

from convnets.cli.command_line import main
from convnets.evaluation.probes import Linear

EIGHT = "('T-shirt/top','Trouser','Pullover','Dress','Coat','Sandal','Sneaker','Bag')"
SMALL = (
    "--config.train.batch_size=64",
    "--config.evaluation.batch_size=2000",
    "--config.schedule.warmup=0 steps",
    "--config.train.duration=30 steps",
)
pytestmark = needs_data()


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """A run that has learned eight of the classes for thirty steps."""
    folder = tmp_path_factory.mktemp("eight") / "run"
    fields = (f"--config.subset.classes={EIGHT}", "--config.subset.per_class=500", "--config.validation.examples=500")
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.chdir(ROOT)
        assert main(["launch.py", "train", EXPERIMENT, f"--workdir={folder}", *SMALL, *fields]) == 0
    return folder


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_a_run_is_probed_at_every_stage_once_and_from_the_cache_afterwards(eight, capsys):
    assert main(["launch.py", "probe", f"--workdir={eight}", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [each["stage"] for each in first] == ["stage1", "stage2", "stage3", "pre_logits"]
    assert [each["features"] for each in first] == [6, 16, 120, 84]
    assert all(0.3 < each["test"] <= 1 for each in first[1:])
    kept = {file: file.stat().st_mtime_ns for file in eight.glob("features_*.npz")}
    assert len(kept) == 3
    assert main(["launch.py", "probe", f"--workdir={eight}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert kept == {file: file.stat().st_mtime_ns for file in eight.glob("features_*.npz")}
    assert (eight / "plots" / "probes.png").stat().st_size > 10_000
    with np.load(eight / "probes.npz") as arrays, np.load(eight / "features_test.npz") as features:
        classifier = Linear(*(arrays[f"stage3/{name}"] for name in Linear._fields))
        right = np.argmax(classifier(features["stage3"]), -1) == features["label"]
        assert right.mean() == pytest.approx(first[2]["test"])


def test_transfer_compares_all_ways_says_which_to_use_and_writes_configs_to_go_on_with(eight, tmp_path, capsys):
    folder = tmp_path / "transfer"
    fields = (
        *SMALL,
        "--config.subset.classes=('Shirt','Ankle boot')",
        "--config.subset.per_class=60",
        "--config.validation.examples=40",
        "--config.train.batch_size=16",
        "--config.train.duration=8 steps",
        f"--config.initialize.workdir={eight}",
        "--config.initialize.head=new",
    )
    assert main(["launch.py", "transfer", EXPERIMENT, f"--workdir={folder}", *fields]) == 0
    said = " ".join(capsys.readouterr().out.split())
    found = json.loads((folder / "transfer.json").read_text())
    names = [way["name"] for way in found["ways"]]
    assert names[0] == "linear classifier on pre_logits"
    assert names[-3:] == ["last stages", "all stages", "from scratch"]
    assert f"use {found['use']}:" in said and found["use"] in names
    assert "the lecture advises " in said
    configs = {name: json.loads((folder / f"config_{name.replace(' ', '_')}.json").read_text()) for name in names[-3:]}
    assert configs["last stages"]["freeze"]["below"] == "pre_logits"
    assert configs["all stages"]["optimizer"]["rates"] == [["logits", 1.0], ["*", 0.1]]
    assert configs["from scratch"]["initialize"]["workdir"] == ""
    assert all(config["train"]["duration"] == "8 steps" for config in configs.values())
    assert (folder / "plots" / "transfer.png").stat().st_size > 10_000
    # A config to go on with is one that train takes, and the run that transfer made of it is finished.
    arguments = [f"--config={folder / 'config_last_stages.json'}", f"--workdir={folder / 'last_stages'}"]
    assert main(["launch.py", "train", *arguments]) == 0
    assert "resuming at step 8 of 8" in capsys.readouterr().out


def test_another_duration_in_the_workdir_of_a_transfer_is_refused_before_anything_is_computed(eight, tmp_path, capsys):
    kept = {"budget": 0, "experiment": "8 steps", "duration": "8 steps"}
    (tmp_path / "duration.json").write_text(json.dumps(kept))
    fields = (*SMALL, f"--config.initialize.workdir={eight}", "--config.initialize.head=new")
    assert main(["launch.py", "transfer", EXPERIMENT, f"--workdir={tmp_path}", *fields]) == 1
    said = capsys.readouterr().err
    assert f"{tmp_path} holds a transfer with --budget=0 and train.duration='8 steps': give the same ones" in said
    assert [file.name for file in tmp_path.iterdir()] == ["duration.json"]


def test_a_run_on_a_subset_that_unfreezes_by_epochs_is_evaluated_as_it_was_tested(tmp_path, capsys):
    """Epochs are of the subset: by those of the whole data set its checkpoint would be of another phase."""
    folder = tmp_path / "run"
    fields = (
        *SMALL,
        "--config.subset.classes=('Shirt','Bag')",
        "--config.subset.per_class=60",
        "--config.validation.examples=40",
        "--config.train.batch_size=16",
        "--config.train.duration=2 epochs",
        "--config.freeze.schedule=(('0 steps','logits'),('1 epochs',''))",
        "--config.evaluation.checkpoint=last",
    )
    assert main(["launch.py", "train", EXPERIMENT, f"--workdir={folder}", *fields]) == 0
    capsys.readouterr()
    assert main(["launch.py", "evaluate", f"--workdir={folder}", "--json"]) == 0
    found, tested = json.loads(capsys.readouterr().out), json.loads((folder / "summary.json").read_text())
    assert (found["checkpoint"], found["examples"]) == (10, 2000)
    assert all(found[name] == pytest.approx(tested[name]) for name in ("loss", "top1"))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ((), "begins with what another network has learned: set initialize.weights or initialize.workdir"),
        (("--config.initialize.workdir=x", "--config.validation.examples=0"), "set validation.examples above 0"),
        (("--config.initialize.workdir=/nowhere",), "initialize.workdir: /nowhere is not a workdir"),
        (("--config.initialize.workdir=x", "--budget=-1"), "--budget is -1, and must be minutes"),
    ],
)
def test_what_cannot_be_transferred_is_refused_before_anything_is_written(tmp_path, capsys, fields, sentence):
    assert main(["launch.py", "transfer", EXPERIMENT, f"--workdir={tmp_path / 'run'}", *fields]) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()
