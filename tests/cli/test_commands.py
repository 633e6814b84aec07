"""What the commands print and keep, on a run of a few steps."""

import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from small_runs import CLASSES, CLASSIFICATION, stripes

from convnets.cli.command_line import main
from convnets.cli.evaluate import ScoredRun

VALIDATION = ("--split=validation", "--config.evaluation.batch_size=50")


def records_of(workdir: Path, kind: str) -> list[dict]:
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == kind]


@pytest.fixture
def copied(classifier, tmp_path) -> Path:
    """A copy of the run, to be written to."""
    return Path(shutil.copytree(classifier, tmp_path / "copied"))


def test_train_leaves_everything_in_the_workdir(classifier):
    config = json.loads((classifier / "config.json").read_text())
    assert config["train"]["batch_size"] == 32
    assert config["network"] == {"name": "lenet5", "pooling": "max", "dtype": "float32"}
    environment = json.loads((classifier / "environment.json").read_text())
    assert environment["derived"] == {"steps": 30, "learning_rate": 0.05, "training_examples": 159}
    assert len(environment["devices"]) == jax.device_count()
    splits = [(r["split"], r["step"], r["examples"]) for r in records_of(classifier, "evaluation")]
    assert splits == [("validation", 15, 41), ("validation", 30, 41), ("test", 30, 200)]
    steps = records_of(classifier, "train")
    assert sum(r["examples"] for r in steps) == 30 * 32
    assert all(0 <= r["waiting_for_data"] <= 1 for r in steps)
    summary = json.loads((classifier / "summary.json").read_text())
    assert 0.2 < summary["top1"] < summary["top5"] <= 1, "ten classes, and some were learned"
    assert set(summary["seconds"]) == {"compiling", "training", "waiting_for_data", "evaluating"}
    for name in ("learning_curves", "confusion_matrix", "filters", "mistakes"):
        with Image.open(classifier / "plots" / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_the_report_holds_all_pictures_asks_for_nothing_from_outside_and_is_built_from_the_workdir(copied):
    (copied / "report.html").unlink()
    for plot in (copied / "plots").iterdir():
        plot.unlink()
    assert main(["", "report", f"--workdir={copied}"]) == 0
    sources = re.findall(r'(?:src|href)="([^"]*)"', (copied / "report.html").read_text())
    assert len(sources) == len(list((copied / "plots").iterdir())) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_evaluate_agrees_with_the_end_of_training_under_another_batch_size(copied, said):
    result = said("evaluate", f"--workdir={copied}", "--config.evaluation.batch_size=77")
    summary = json.loads((copied / "summary.json").read_text())
    assert (result["examples"], result["protocol"], result["views"]) == (200, "centre_crop", 1)
    for name in ("checkpoint", "top1", "top5"):
        assert result[name] == summary[name]
    assert result["loss"] == pytest.approx(summary["loss"], rel=1e-5)
    assert json.loads((copied / "evaluation_test_centre_crop.json").read_text()) == result


def test_another_checkpoint_and_split_leave_the_predictions_of_the_run_as_they_were(copied, said):
    before = (copied / "predictions_test.npz").read_bytes()
    result = said("evaluate", f"--workdir={copied}", "--split=validation", "--checkpoint=15")
    expected = next(r for r in records_of(copied, "evaluation") if r["step"] == 15)
    assert (result["checkpoint"], result["examples"], result["top1"]) == (15, 41, expected["top1"])
    assert said("evaluate", f"--workdir={copied}", "--checkpoint=15")["checkpoint"] == 15
    assert (copied / "predictions_test.npz").read_bytes() == before
    assert said("evaluate", f"--workdir={copied}")["checkpoint"] == 30


def test_evaluate_says_by_which_protocol(copied, said, capsys):
    result = said("evaluate", f"--workdir={copied}", "--config.evaluation.protocol=ten_crop")
    assert (result["protocol"], result["views"], result["examples"]) == ("ten_crop", 10, 200)
    assert (result["average"], result["scales"]) == ("probabilities", [])
    assert result["top1_error"] == pytest.approx(1 - result["top1"])
    assert json.loads((copied / "evaluation_test_ten_crop.json").read_text()) == result
    assert main(["", "evaluate", f"--workdir={copied}"]) == 0
    table = capsys.readouterr().out
    assert "centre_crop, 1 view an image" in table and "top-1 error" in table and "200" in table


def test_predict_says_of_image_files_what_evaluation_said_of_the_examples(classifier, said, capsys, tmp_path):
    source = stripes("test", padding=0)
    for i in range(70):
        Image.fromarray(source[i]["image"][..., 0]).save(tmp_path / f"{i:02}.png")
    records = said("predict", f"--workdir={classifier}", tmp_path)
    assert [Path(record["file"]).name for record in records] == [f"{i:02}.png" for i in range(70)]
    with np.load(classifier / "predictions_test.npz") as saved:
        expected, probabilities = saved["classes"][:70], saved["probabilities"][:70]
    found = np.array([[guess["label"] for guess in record["predictions"]] for record in records])
    np.testing.assert_array_equal(found, expected)
    shown = np.array([[guess["probability"] for guess in record["predictions"]] for record in records])
    np.testing.assert_allclose(shown, probabilities, atol=1e-5)
    assert records[0]["predictions"][0]["class"] == CLASSES[expected[0, 0]]
    Image.new("RGB", (40, 60), "white").save(tmp_path / "white.jpg")
    assert main(["", "predict", f"--workdir={classifier}", str(tmp_path / "white.jpg")]) == 0
    assert "%" in capsys.readouterr().out


def test_an_ensemble_of_one_is_the_model_itself_and_keeps_its_scores(copied, said):
    alone = said("evaluate", f"--workdir={copied}", "--scores", *VALIDATION)
    [member], ensemble = (said("ensemble", copied, *VALIDATION)[name] for name in ("members", "ensemble"))
    for name in ("top1", "top5"):
        assert ensemble[name] == member[name] == alone[name]
    assert ensemble["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    with np.load(copied / "scores_validation_centre_crop_step30.npz") as saved:
        assert saved["scores"].shape == (41, 10)
        np.testing.assert_allclose(np.exp(saved["scores"]).sum(-1), 1, rtol=1e-5)
        assert np.mean(saved["scores"].argmax(-1) == saved["label"]) == pytest.approx(alone["top1"])


def test_an_ensemble_averages_its_members_and_computes_no_scores_twice(
    classifiers, copied, said, tmp_path, monkeypatch
):
    other = shutil.copytree(classifiers[1], tmp_path / "other")
    evaluated, evaluate = [], ScoredRun.evaluate
    monkeypatch.setattr(
        ScoredRun, "evaluate", lambda self, *args, **kw: evaluated.append(self.step) or evaluate(self, *args, **kw)
    )
    names = [str(copied), f"{other}@15"]
    result = said("ensemble", *names, *VALIDATION, f"--out={tmp_path / 'both.json'}")
    assert evaluated == [30, 15]
    assert said("ensemble", *names, *VALIDATION) == result == json.loads((tmp_path / "both.json").read_text())
    assert evaluated == [30, 15], "the scores were kept"
    assert [member["checkpoint"] for member in result["members"]] == [30, 15]
    file = other / "scores_validation_centre_crop_step15.npz"
    parts = [dict(np.load(kept)) for kept in (copied / "scores_validation_centre_crop_step30.npz", file)]
    mean = np.mean([np.exp(part["scores"]) for part in parts], 0)
    assert result["ensemble"]["top1"] == pytest.approx(np.mean(mean.argmax(-1) == parts[0]["label"]))

    # The kept scores are what counts; those of another checkpoint or average, or of a damaged file, are not.
    forged = parts[1] | {"scores": np.eye(10, dtype=np.float32)[parts[1]["label"]]}

    def top1(*more: str) -> float:
        return said("ensemble", f"{other}@15", *VALIDATION, *more)["ensemble"]["top1"]

    np.savez(file, **forged)
    assert top1() == 1
    for fact in ({"checkpoint": 30}, {"average": "logits"}, {"scales": [1.5]}, {"written": 0}):
        np.savez(file, **forged | {"facts": json.dumps(json.loads(str(forged["facts"])) | fact)})
        assert top1() < 1
    file.write_bytes(b"PK\x03\x04 and no more")
    assert top1() < 1
    np.savez(file, **forged)
    assert top1("--config.evaluation.average=logits") < 1
    assert len(list(other.glob("scores_*.npz"))) == 2


def test_scores_of_two_kinds_are_not_averaged(classifier, copied, refused, said):
    text = (copied / "config.json").read_text()
    (copied / "config.json").write_text(text.replace('"probabilities"', '"logits"'))
    assert "evaluation.average is 'probabilities' in" in refused("ensemble", classifier, copied, *VALIDATION)


def test_compare_draws_seeds_together_and_experiments_apart(classifiers, said, capsys, tmp_path):
    out = tmp_path / "compared.png"
    rows = said("compare", classifiers[0].parent, f"--out={out}")
    assert [(row["experiment"], row["seeds"]) for row in rows] == [("large", 1), ("small", 2)]
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in classifiers]
    assert rows[0]["test_error"] == pytest.approx(1 - summaries[2]["top1"])
    assert rows[1]["test_error"] == pytest.approx(1 - (summaries[0]["top1"] + summaries[1]["top1"]) / 2)
    assert "test_deviation" in rows[1] and "test_deviation" not in rows[0]
    assert out.stat().st_size > 10_000
    assert main(["", "compare", str(classifiers[2])]) == 0
    assert "training error" in capsys.readouterr().out
    [row] = said("compare", classifiers[2], classifiers[2], classifiers[2].parent / "large")
    assert (row["experiment"], row["seeds"]) == ("large", 1)
    rows = said("compare", classifiers[0], classifiers[2])
    assert [row["experiment"] for row in rows] == ["small-seed0", "large"]


def test_summarize_counts_the_lectures_lenet(said, capsys):
    rows = said("summarize", CLASSIFICATION[0])["layers"]
    assert sum(row["parameters"] for row in rows) == 61_706
    assert main(["", "summarize", CLASSIFICATION[0]]) == 0
    assert "61,706" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", CLASSIFICATION[0], "--help"], []])
def test_help_helps(capsys, arguments):
    assert main(["", *arguments]) == 0
    said = capsys.readouterr().out
    assert ("--config.optimizer.learning_rate=0.05" in said) == (CLASSIFICATION[0] in arguments)
    assert "train" in said
