"""`launch.py summarize --all`: all networks, and the runs in a folder."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from convnets import data
from convnets.analysis.network_costs import known_networks
from convnets.cli import summarize_all
from convnets.cli.command_line import main
from convnets.files import write_atomically
from convnets.training.config import complete, default_config, to_json
from convnets.training.workdir import Workdir

FEW = ("lenet5", "alexnet_owt", "vgg_a", "vgg11", "resnet20")


@pytest.fixture(autouse=True)
def few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting all of them takes a minute."""
    monkeypatch.setattr(summarize_all, "known_networks", lambda: known_networks(FEW))


def finished_run(folder: Path, network: str, top1: Any) -> Workdir:
    """A workdir as training leaves it, as far as it is read here."""
    config = default_config()
    config.network.name = network
    config.normalization.mean, config.normalization.std = (0.2190,), (0.3318,)
    workdir = Workdir(folder)
    write_atomically(workdir.config_file, to_json(complete(config)))
    write_atomically(workdir.data_file, json.dumps(asdict(data.describe("fashion_mnist", padding=2))))
    write_atomically(workdir.summary_file, json.dumps({"split": "test", "top1": top1, "top5": 1.0}))
    return workdir


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three good runs, one of them deeper down, and one of each kind that can't be used."""
    folder = tmp_path / "runs"
    finished_run(folder / "good", "lenet5", 0.91)
    finished_run(folder / "better", "lenet5_bn", 0.92)
    finished_run(folder / "sweep" / "trial1", "lenet5", 0.89)
    write_atomically(finished_run(folder / "cut", "lenet5", 0.5).config_file, '{"network": {"na')
    write_atomically(finished_run(folder / "renamed", "lenet5", 0.5).config_file, '{"network": {"name": "lenet6"}}')
    finished_run(folder / "half", "lenet5", 0.5).summary_file.unlink()
    finished_run(folder / "without_data", "lenet5", 0.5).data_file.unlink()
    write_atomically(finished_run(folder / "odd_data", "lenet5", 0.5).data_file, "[]")
    write_atomically(finished_run(folder / "odd_summary", "lenet5", 0.5).summary_file, "not JSON")
    finished_run(folder / "percent", "lenet5", 91.0)
    finished_run(folder / "nan", "lenet5", float("nan"))
    (folder / "no_workdir").mkdir()
    return folder


BROKEN = ("cut", "half", "nan", "odd_data", "odd_summary", "percent", "renamed", "without_data")


def summarized(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[str, str]:
    """What `launch.py summarize --all` says, and what it says beside."""
    assert main(["launch.py", "summarize", "--all", *flags]) == 0
    said = capsys.readouterr()
    return said.out, said.err


def test_networks_are_sorted_by_family_and_size_and_other_names_share_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(summarized(capsys, "--json")[0])
    names = [network["names"] for network in document["networks"]]
    assert names == [["lenet5"], ["alexnet_owt"], ["vgg_a", "vgg11"], ["resnet20"]]
    lenet, alexnet, vgg, resnet = document["networks"]
    assert (lenet["parameters"], lenet["multiply_adds"], lenet["classes"]) == (61_706, 416_520, 10)
    assert (alexnet["parameters"], alexnet["classes"], alexnet["image_shape"]) == (61_100_840, 1000, [224, 224, 3])
    assert [entry["weights"] for entry in vgg["published"]] == ["V1", "paper"]
    assert resnet["published"][0]["data"] == "CIFAR-10"


def test_the_table_and_csv_have_counts_and_published_accuracies(capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = summarized(capsys)
    [vgg] = [line for line in said.splitlines() if "vgg_a (vgg11)" in line]
    for cell in ("224×224×3", "132,863,336", "7.609", "150", "32", "69.02 / 88.63 V1"):
        assert cell in vgg
    assert "0.0004" in next(line for line in said.splitlines() if "lenet5" in line)
    rows = list(csv.DictReader(io.StringIO(summarized(capsys, "--csv")[0])))
    assert [row["network"] for row in rows] == ["lenet5", "alexnet_owt", "vgg_a", "resnet20"]
    assert (rows[2]["aliases"], rows[2]["parameters"], rows[2]["published_top1"]) == ("vgg11", "132863336", "69.02")
    assert rows[0]["published_top1"] == ""


def test_runs_are_read_and_drawn_and_those_that_can_not_be_are_named(
    capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path
) -> None:
    document = json.loads(summarized(capsys, f"--runs={runs}", "--json")[0])
    assert [(run["name"], run["network"], run["accuracy"]) for run in document["runs"]] == [
        ("better", "lenet5_bn", 0.92), ("good", "lenet5", 0.91), ("sweep/trial1", "lenet5", 0.89),
    ]  # fmt: skip
    assert document["runs"][1]["cost"]["multiply_adds"] == 416_520
    assert len(document["left_out"]) == len(BROKEN)
    for name, sentence in zip(BROKEN, document["left_out"], strict=True):
        assert sentence.startswith(f"left out {runs / name}: ")
    path = tmp_path / "networks.png"
    said, beside = summarized(capsys, f"--runs={runs}", f"--out={path}")
    assert "92.00%" in said and "sweep/trial1" in said
    assert beside.count("left out") == len(BROKEN) and f"picture: {path}" in beside
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--all", "--runs=nowhere"], "--runs is 'nowhere', and there is no such folder"),
        (["--all", "--out=networks.pdf"], "--out is 'networks.pdf', and pictures are PNG files"),
        (["--all", "--json", "--csv"], "give either --json or --csv"),
        (["--all", "resnet50"], "--all counts every network at its native size: leave 'resnet50' out"),
        (["--all", "--batch=2"], "--all counts every network at its native size: leave --batch out"),
        (["lenet5", "--runs=runs"], "--runs belongs to --all"),
        (["lenet5", "--out=networks.png"], "--out belongs to --all"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["launch.py", "summarize", *arguments]) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.startswith("error: ") and said.count("\n") == 1
