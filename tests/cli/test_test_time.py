"""Protocols of test time, ensembles and comparisons, on runs of a few steps on real data."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launching import EXPERIMENT, ROOT, needs_data
from PIL import Image

from convnets.cli.command_line import main
from convnets.cli.scored_run import ScoredRun

pytestmark = needs_data()
FIELDS = (
    EXPERIMENT,
    "--config.train.batch_size=64",
    "--config.train.duration=30 steps",
    "--config.validation.examples=1000",
    "--config.evaluation.every=15 steps",
    "--config.log.every=5 steps",
    "--config.schedule.warmup=5 steps",
)
VALIDATION = ("--split=validation", "--config.evaluation.batch_size=500")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Workdirs of two seeds, and of another learning rate."""
    os.chdir(ROOT)
    folder = tmp_path_factory.mktemp("runs")
    workdirs = [folder / "small-seed0", folder / "small-seed1", folder / "large"]
    different = ["--config.seed=0"], ["--config.seed=1"], ["--config.optimizer.learning_rate=0.1"]
    for workdir, fields in zip(workdirs, different, strict=True):
        assert main(["launch.py", "train", *FIELDS, *fields, f"--workdir={workdir}"]) == 0
    return workdirs


def said(capsys: Any, *arguments: str) -> Any:
    """What a command prints with --json."""
    capsys.readouterr()
    assert main(["launch.py", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_says_by_which_protocol_and_keeps_it_in_the_workdir(runs, capsys):
    result = said(capsys, "evaluate", f"--workdir={runs[0]}", "--config.evaluation.protocol=ten_crop")
    assert (result["protocol"], result["views"], result["examples"]) == ("ten_crop", 10, 10_000)
    assert (result["average"], result["scales"]) == ("probabilities", [])
    assert result["top1_error"] == pytest.approx(1 - result["top1"])
    assert result["top5_error"] == pytest.approx(1 - result["top5"])
    assert json.loads((runs[0] / "evaluation_test_ten_crop.json").read_text()) == result
    assert main(["launch.py", "evaluate", f"--workdir={runs[0]}", *VALIDATION[1:]]) == 0
    table = capsys.readouterr().out
    assert "centre_crop, 1 view an image" in table
    assert "top-1 error" in table and "10,000" in table


def test_the_scores_of_each_image_are_kept_on_request(runs, capsys):
    result = said(capsys, "evaluate", f"--workdir={runs[0]}", "--scores", *VALIDATION)
    with np.load(runs[0] / "scores_validation_centre_crop_step30.npz") as saved:
        scores, labels = saved["scores"], saved["label"]
    assert scores.shape == (1000, 10)
    np.testing.assert_allclose(np.exp(scores).sum(-1), 1, rtol=1e-5)
    assert np.mean(scores.argmax(-1) == labels) == pytest.approx(result["top1"])


def test_an_ensemble_of_one_is_the_model_itself(runs, capsys):
    alone = said(capsys, "evaluate", f"--workdir={runs[0]}", *VALIDATION)
    [member], ensemble = (said(capsys, "ensemble", str(runs[0]), *VALIDATION)[name] for name in ("members", "ensemble"))
    for name in ("top1", "top5"):
        assert ensemble[name] == member[name] == alone[name]
    assert ensemble["loss"] == pytest.approx(alone["loss"], rel=1e-5)


def test_an_ensemble_averages_its_members_and_computes_no_scores_twice(runs, capsys, tmp_path):
    names = [str(runs[0]), f"{runs[1]}@15"]
    result = said(capsys, "ensemble", *names, *VALIDATION, f"--out={tmp_path / 'both.json'}")
    assert json.loads((tmp_path / "both.json").read_text()) == result
    assert [member["checkpoint"] for member in result["members"]] == [30, 15]
    parts = []
    for folder, step in zip(runs[:2], (30, 15), strict=True):
        with np.load(folder / f"scores_validation_centre_crop_step{step}.npz") as saved:
            parts.append(dict(saved))
    mean = np.mean([np.exp(part["scores"]) for part in parts], 0)
    assert result["ensemble"]["top1"] == pytest.approx(np.mean(mean.argmax(-1) == parts[0]["label"]))

    # The kept scores are what counts; those of another checkpoint or average, or of a damaged file, are not.
    file = runs[1] / "scores_validation_centre_crop_step15.npz"
    forged = parts[1] | {"scores": np.eye(10, dtype=np.float32)[parts[1]["label"]]}
    np.savez(file, **forged)

    def top1(checkpoint: int, *more: str) -> float:
        return said(capsys, "ensemble", f"{runs[1]}@{checkpoint}", *VALIDATION, *more)["ensemble"]["top1"]

    assert top1(15) == 1
    for other in ({"checkpoint": 30}, {"average": "logits"}, {"scales": [1.5]}, {"written": 0}):
        np.savez(file, **forged | {"facts": json.dumps(json.loads(str(forged["facts"])) | other)})
        assert top1(15) < 0.95
    file.write_bytes(b"PK\x03\x04 and no more")
    assert top1(15) < 0.95
    assert top1(30, "--config.evaluation.average=logits") < 0.95
    assert len(list(runs[1].glob("scores_*.npz"))) == 2


def test_a_member_without_kept_scores_is_evaluated_once(runs, capsys, monkeypatch):
    evaluated = []
    evaluate = ScoredRun.evaluate

    def counted(self: ScoredRun, *arguments: Any, **options: Any) -> Any:
        evaluated.append(self.workdir.folder)
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(ScoredRun, "evaluate", counted)
    for member in runs[:2]:
        for kept in member.glob("scores_*"):
            kept.unlink()
    for _ in range(2):
        said(capsys, "ensemble", str(runs[0]), str(runs[1]), *VALIDATION)
        assert evaluated == runs[:2]


def test_scores_of_two_kinds_are_not_averaged(runs, capsys, tmp_path):
    """A copy of a run whose config names another average."""
    other = tmp_path / "other"
    shutil.copytree(runs[0], other)
    (other / "config.json").write_text((other / "config.json").read_text().replace('"probabilities"', '"logits"'))
    assert main(["launch.py", "ensemble", str(runs[0]), str(other), *VALIDATION]) == 1
    assert "evaluation.average is 'probabilities' in" in capsys.readouterr().err
    assert (
        main(["launch.py", "ensemble", str(runs[0]), str(other), *VALIDATION, "--config.evaluation.average=logits"])
        == 0
    )


def test_compare_draws_seeds_together_and_experiments_apart(runs, capsys, tmp_path):
    out = tmp_path / "compared.png"
    rows = said(capsys, "compare", str(runs[0].parent), f"--out={out}")
    assert [(row["experiment"], row["seeds"]) for row in rows] == [("large", 1), ("small", 2)]
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in runs]
    assert rows[0]["test_error"] == pytest.approx(1 - summaries[2]["top1"])
    assert rows[1]["test_error"] == pytest.approx(1 - (summaries[0]["top1"] + summaries[1]["top1"]) / 2)
    assert "test_deviation" in rows[1] and "test_deviation" not in rows[0]
    with Image.open(out) as picture:
        assert min(picture.size) > 400
    assert main(["launch.py", "compare", str(runs[2])]) == 0
    assert "training error" in capsys.readouterr().out
    [row] = said(capsys, "compare", str(runs[2]), str(runs[2]), str(runs[2].parent / "large"))
    assert (row["experiment"], row["seeds"]) == ("large", 1)
    rows = said(capsys, "compare", str(runs[0]), str(runs[2]))
    assert [row["experiment"] for row in rows] == ["small-seed0", "large"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ensemble",), "name the runs"),
        (("ensemble", "{run}@zzz"), "'zzz' is not 'best', 'last' or a step"),
        (("ensemble", "{run}@²"), "'²' is not 'best', 'last' or a step"),
        (("ensemble", "{run}@7"), "has no checkpoint of step 7: there are 15, 30"),
        (("ensemble", "{run}", "--out=both.txt"), "let it end in .json"),
        (("ensemble", "{run}", "--out=nowhere/both.json"), "no file can be made in nowhere"),
        (("ensemble", "{run}", "--split=dev"), "unknown split 'dev'"),
        (
            ("evaluate", "--workdir={run}", "--config.evaluation.protocol=ten_crops"),
            "evaluation.protocol is 'ten_crops'",
        ),
        (("evaluate", "--workdir={run}", "--config.evaluation.average=votes"), "one of probabilities, logits"),
        (
            ("evaluate", "--workdir={run}", "--config.evaluation.protocol=dense", "--config.evaluation.scales=(0.5,)"),
            "evaluation.scales must lie in [1, 16]",
        ),
        (("compare",), "name workdirs"),
        (("compare", "nowhere"), "the folder of runs is 'nowhere', and there is no such folder"),
        (("compare", "{run}", "--out=plot.jpg"), "let it end in .png"),
    ],
)
def test_what_cant_be_is_refused_in_a_sentence(runs, capsys, arguments, sentence):
    assert main(["launch.py", *(argument.replace("{run}", str(runs[0])) for argument in arguments)]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_an_evaluation_that_cant_be_is_refused_before_a_workdir_is_claimed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    workdir = tmp_path / "new"
    for scales in ("(0.5,)", "('a',)"):
        arguments = ["--config.evaluation.protocol=ten_crop", f"--config.evaluation.scales={scales}"]
        assert main(["launch.py", "train", *FIELDS, *arguments, f"--workdir={workdir}"]) == 1
        assert "evaluation.scales must lie in [1, 16]" in capsys.readouterr().err
    assert not workdir.exists()
