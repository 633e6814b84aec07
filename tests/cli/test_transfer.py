"""`probe` and `transfer` on a few images in memory, the ways that are compared, and how long each is trained."""

import json
import shutil

import numpy as np
import pytest
from small_runs import CLASSIFICATION
from trained_networks import trained

from convnets.cli import transfer_duration
from convnets.cli.command_line import main
from convnets.cli.probe import Probed
from convnets.cli.transfer import RATES, check_transfer, ways_to_train
from convnets.cli.transfer_duration import decide_duration, kept_duration
from convnets.data.source import Splits
from convnets.errors import InvalidValue
from convnets.evaluation.probes import Linear
from convnets.parallel import Devices
from convnets.training.config import default_config
from convnets.training.workdir import Workdir

FEW = (
    *CLASSIFICATION,
    "--config.subset.per_class=12",
    "--config.validation.examples=8",
    "--config.train.batch_size=8",
    "--config.train.duration=4 steps",
    "--config.evaluation.every=4 steps",
)
NEW_HEAD = "--config.initialize.head=new"


def test_a_run_is_probed_at_every_stage_once_and_from_the_cache_afterwards(classifier, said, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(classifier, run)
    first = said("probe", f"--workdir={run}")
    assert [each["stage"] for each in first] == ["stage1", "stage2", "stage3", "pre_logits"]
    assert [each["features"] for each in first] == [6, 16, 120, 84]
    assert all(0.1 < each["test"] <= 1 for each in first[1:])
    kept = {file: file.stat().st_mtime_ns for file in run.glob("features_*.npz")}
    assert len(kept) == 3
    assert said("probe", f"--workdir={run}") == first
    assert kept == {file: file.stat().st_mtime_ns for file in run.glob("features_*.npz")}
    assert (run / "plots" / "probes.png").stat().st_size > 10_000
    with np.load(run / "probes.npz") as arrays, np.load(run / "features_test.npz") as features:
        found = Linear(*(arrays[f"stage3/{name}"] for name in Linear._fields))
        right = np.argmax(found(features["stage3"]), -1) == features["label"]
        assert right.mean() == pytest.approx(first[2]["test"])


def test_transfer_compares_all_ways_says_which_to_use_and_writes_configs_to_go_on_with(classifier, tmp_path, capsys):
    folder = tmp_path / "transfer"
    fields = (*FEW, "--config.subset.classes=('a','b')", f"--config.initialize.workdir={classifier}", NEW_HEAD)
    assert main(["", "transfer", *fields, f"--workdir={folder}"]) == 0
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
    assert all(config["train"]["duration"] == "4 steps" for config in configs.values())
    assert (folder / "plots" / "transfer.png").stat().st_size > 10_000
    # A config to go on with is one that train takes, and the run that transfer made of it is finished.
    arguments = [f"--config={folder / 'config_last_stages.json'}", f"--workdir={folder / 'last_stages'}"]
    assert main(["", "train", *arguments]) == 0
    assert "resuming at step 4 of 4" in capsys.readouterr().out


def test_another_duration_in_the_workdir_of_a_transfer_is_refused_before_anything_is_computed(
    classifier, tmp_path, refused
):
    (tmp_path / "duration.json").write_text(json.dumps({"budget": 0, "experiment": "8 steps", "duration": "8 steps"}))
    said = refused("transfer", *FEW, f"--workdir={tmp_path}", f"--config.initialize.workdir={classifier}", NEW_HEAD)
    assert f"{tmp_path} holds a transfer with --budget=0 and train.duration='8 steps': give the same ones" in said
    assert [file.name for file in tmp_path.iterdir()] == ["duration.json"]


def test_a_run_on_a_subset_that_unfreezes_by_epochs_is_evaluated_as_it_was_tested(tmp_path, said):
    """Epochs are of the subset: by those of the whole data set its checkpoint would be of another phase."""
    folder = tmp_path / "run"
    fields = (
        *FEW,
        "--config.subset.classes=('a','b')",
        "--config.train.duration=2 epochs",
        "--config.freeze.schedule=(('0 steps','logits'),('1 epochs',''))",
        "--config.evaluation.checkpoint=last",
        "--config.schedule.warmup=0 steps",
    )
    assert main(["", "train", *fields, f"--workdir={folder}"]) == 0
    found, tested = said("evaluate", f"--workdir={folder}"), json.loads((folder / "summary.json").read_text())
    assert (found["checkpoint"], found["examples"]) == (4, tested["examples"])
    assert all(found[name] == pytest.approx(tested[name]) for name in ("loss", "top1"))


@pytest.mark.parametrize(
    ("fields", "budget", "sentence"),
    [
        ({}, 0, "begins with what another network has learned: set initialize.weights or initialize.workdir"),
        ({"initialize.workdir": "x", "validation.examples": 0}, 0, "set validation.examples above 0"),
        ({"initialize.workdir": "x"}, -1, "--budget is -1, and must be minutes"),
    ],
)
def test_what_cannot_be_transferred_is_refused(fields, budget, sentence):
    config = default_config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(InvalidValue, match=sentence):
        check_transfer(config, budget)


def test_a_run_that_is_not_there_is_refused_before_anything_is_written(tmp_path, refused):
    said = refused("transfer", *FEW, "--config.initialize.workdir=/nowhere", f"--workdir={tmp_path / 'run'}")
    assert "initialize.workdir: /nowhere is not a workdir" in said
    assert not (tmp_path / "run").exists()


FROZEN = {
    "freeze.below": "stage2",
    "freeze.layers": ("conv2",),
    "freeze.schedule": (("0 steps", "logits"), ("1 steps", "")),
    "optimizer.rates": (("conv1", 0.5),),
    "optimizer.depth_decay": 0.7,
}
BEGUN = {
    "initialize.workdir": "runs/lenet",
    "initialize.checkpoint": "last",
    "initialize.layers": ("conv*",),
    "initialize.head": "new",
    "initialize.stem": "adapt",
    "initialize.deepen": True,
    "initialize.allow": ("fc3",),
}


@pytest.fixture(scope="module")
def ways():
    """Of an experiment that freezes and begins in its own way; its data are not looked at."""
    network = trained("lenet5", 32, 1)
    network.config.update_from_flattened_dict(FROZEN | BEGUN | {"optimizer.weight_decay": 0.25, "seed": 3})
    return ways_to_train(Probed(network.config, network.model, Splits(None, None, None), {}, "runs/lenet"))


def test_nothing_of_the_experiments_own_freezing_is_left_in_any(ways):
    assert list(ways) == ["last stages", "all stages", "from scratch"]
    for name, config in ways.items():
        assert config.freeze.layers == () and config.freeze.schedule == () and config.optimizer.depth_decay == 1, name
    assert {name: config.freeze.below for name, config in ways.items()} == {
        "last stages": "pre_logits",
        "all stages": "",
        "from scratch": "",
    }
    assert ways["last stages"].optimizer.rates == ways["all stages"].optimizer.rates == RATES
    assert ways["from scratch"].optimizer.rates == ()


def test_from_scratch_begins_with_nothing_and_the_others_as_the_experiment_does(ways):
    assert ways["from scratch"].initialize.to_dict() == default_config().initialize.to_dict()
    for name in ("last stages", "all stages"):
        begun = {f"initialize.{field}": value for field, value in ways[name].initialize.items()}
        assert begun == BEGUN | {"initialize.weights": "", "initialize.architecture": ""}


def test_the_rest_is_the_experiments(ways):
    for config in ways.values():
        assert (config.seed, config.optimizer.weight_decay, config.network.name) == (3, 0.25, "lenet5")


SECONDS_A_STEP = 0.5


@pytest.fixture
def decide(tmp_path, monkeypatch):
    """`(duration of the experiment, budget in minutes, seconds of probing) -> duration`, for 100 examples."""
    monkeypatch.setattr(transfer_duration, "_seconds_a_step", lambda *_: SECONDS_A_STEP)
    network = trained("lenet5", 32, 1)

    def decided(duration: str, budget: int, probing: float = 0.0) -> str:
        network.config.train.update({"duration": duration, "batch_size": 10})
        probed = Probed(network.config, network.model, Splits(range(100), None, range(10)), {}, "")
        return decide_duration(probed, Devices("pmap"), Workdir(tmp_path), budget, probing)

    return decided


def asked(duration: str):
    config = trained("lenet5", 32, 1).config
    config.train.duration = duration
    return config


def test_without_a_budget_it_is_the_experiments(decide):
    assert decide("3 epochs", 0, 1e6) == "3 epochs"


def test_a_budget_is_what_the_probes_leave_in_three_parts(decide):
    # (60 - 30) / 3 seconds each.
    assert decide("1000 steps", 1, 30.0) == f"{10 / SECONDS_A_STEP:.0f} steps"


def test_a_large_budget_trains_no_longer_than_the_experiment(decide):
    assert decide("3 epochs", 600) == "30 steps"


def test_a_budget_that_the_probes_use_up_is_refused(decide, tmp_path):
    with pytest.raises(InvalidValue, match="--budget leaves 0 s for three trainings, which is under a step each"):
        decide("30 steps", 1, 90.0)
    assert list(tmp_path.iterdir()) == []


def test_what_was_decided_is_kept_for_a_call_that_asks_for_the_same(decide, tmp_path):
    workdir = Workdir(tmp_path)
    assert kept_duration(asked("30 steps"), workdir, 1) == ""
    assert decide("30 steps", 1, 30.0) == kept_duration(asked("30 steps"), workdir, 1) == "20 steps"


@pytest.mark.parametrize(("duration", "budget"), [("31 steps", 1), ("30 steps", 2), ("30 steps", 0)])
def test_another_duration_or_budget_in_the_same_workdir_is_refused(decide, tmp_path, duration, budget):
    decide("30 steps", 1, 30.0)
    with pytest.raises(InvalidValue, match=r"holds a transfer with --budget=1 and train.duration='30 steps': give the"):
        kept_duration(asked(duration), Workdir(tmp_path), budget)
