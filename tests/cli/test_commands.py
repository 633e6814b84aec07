"""What the commands give, on a run of a few steps on real data."""

import json
import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from launching import EXPERIMENT, ROOT, needs_data
from PIL import Image

from convnets.cli.command_line import main
from convnets.data import fashion_mnist

pytestmark = needs_data()
FIELDS = (
    EXPERIMENT,
    "--config.train.batch_size=64",
    "--config.train.duration=60 steps",
    "--config.validation.examples=1001",
    "--config.evaluation.every=30 steps",
    "--config.log.every=10 steps",
    "--config.schedule.warmup=5 steps",
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    """The workdir of a run of sixty steps."""
    os.chdir(ROOT)
    folder = tmp_path_factory.mktemp("commands") / "run"
    assert main(["launch.py", "train", *FIELDS, f"--workdir={folder}"]) == 0
    return folder


def test_train_leaves_everything_in_the_workdir(workdir):
    config = json.loads((workdir / "config.json").read_text())
    assert config["train"]["batch_size"] == 64
    assert config["network"] == {"name": "lenet5", "pooling": "max", "dtype": "float32"}
    environment = json.loads((workdir / "environment.json").read_text())
    assert environment["derived"] == {"steps": 60, "learning_rate": 0.05, "training_examples": 58_999}
    assert len(environment["devices"]) == 8
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    splits = [(r["split"], r["step"], r["examples"]) for r in records if r["kind"] == "evaluation"]
    assert splits[:2] == [("validation", 30, 1001), ("validation", 60, 1001)]
    assert splits[2][0] == "test"
    assert splits[2][2] == 10_000
    steps = [r for r in records if r["kind"] == "train"]
    assert sum(r["examples"] for r in steps) == 60 * 64
    assert all(0 <= r["waiting_for_data"] <= 1 for r in steps)
    summary = json.loads((workdir / "summary.json").read_text())
    assert 0.3 < summary["top1"] < summary["top5"] < 1
    assert set(summary["seconds"]) == {"compiling", "training", "waiting_for_data", "evaluating"}
    for name in ("learning_curves", "confusion_matrix", "filters", "mistakes"):
        with Image.open(workdir / "plots" / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_the_report_holds_all_pictures_and_asks_for_nothing_from_outside(workdir):
    sources = []

    class Pictures(HTMLParser):
        def handle_starttag(self, tag, attributes):
            sources.extend(value for name, value in attributes if name in ("src", "href"))

    page = (workdir / "report.html").read_text()
    Pictures().feed(page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_evaluate_agrees_with_the_end_of_training_under_another_batch_size(workdir, capsys):
    assert main(["launch.py", "evaluate", f"--workdir={workdir}", "--json", "--config.evaluation.batch_size=777"]) == 0
    result = json.loads(capsys.readouterr().out)
    summary = json.loads((workdir / "summary.json").read_text())
    assert result["examples"] == 10_000
    assert result["checkpoint"] == summary["checkpoint"]
    for name in ("top1", "top5"):
        assert result[name] == summary[name]
    assert result["loss"] == pytest.approx(summary["loss"], rel=1e-5)
    assert (result["protocol"], result["views"]) == ("centre_crop", 1)
    assert json.loads((workdir / "evaluation_test_centre_crop.json").read_text()) == result


def test_evaluate_takes_the_validation_split_and_a_step(workdir, capsys):
    arguments = ["--split=validation", "--checkpoint=30", "--json"]
    assert main(["launch.py", "evaluate", f"--workdir={workdir}", *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    expected = next(r for r in records if r["kind"] == "evaluation" and r["step"] == 30)
    assert result["examples"] == 1001
    assert result["top1"] == expected["top1"]


def test_evaluating_another_checkpoint_leaves_the_report_of_the_run_as_it_was(workdir, capsys):
    before = (workdir / "predictions_test.npz").read_bytes()
    assert main(["launch.py", "evaluate", f"--workdir={workdir}", "--checkpoint=30", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert other["checkpoint"] == 30
    assert (workdir / "predictions_test.npz").read_bytes() == before
    assert main(["launch.py", "evaluate", f"--workdir={workdir}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoint"] == 60


def test_predict_says_of_image_files_what_evaluation_said_of_the_examples(workdir, capsys, tmp_path):
    source = fashion_mnist.load("test", padding=0)
    for i in range(70):
        Image.fromarray(source[i]["image"][..., 0]).save(tmp_path / f"{i:02}.png")
    assert main(["launch.py", "predict", f"--workdir={workdir}", "--json", str(tmp_path)]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [Path(record["file"]).name for record in records] == [f"{i:02}.png" for i in range(70)]
    with np.load(workdir / "predictions_test.npz") as saved:
        expected, probabilities = saved["classes"][:70], saved["probabilities"][:70]
    found = np.array([[guess["label"] for guess in record["predictions"]] for record in records])
    np.testing.assert_array_equal(found, expected)
    shown = np.array([[guess["probability"] for guess in record["predictions"]] for record in records])
    np.testing.assert_allclose(shown, probabilities, atol=1e-5)
    assert records[0]["predictions"][0]["class"] == fashion_mnist.CLASSES[expected[0, 0]]


def test_predict_prints_a_table(workdir, capsys, tmp_path):
    Image.new("RGB", (40, 60), "white").save(tmp_path / "white.jpg")
    assert main(["launch.py", "predict", f"--workdir={workdir}", str(tmp_path / "white.jpg")]) == 0
    assert "%" in capsys.readouterr().out


def test_report_is_rebuilt_from_the_workdir_alone(workdir, capsys):
    (workdir / "report.html").unlink()
    for plot in (workdir / "plots").iterdir():
        plot.unlink()
    assert main(["launch.py", "report", f"--workdir={workdir}"]) == 0
    assert (workdir / "report.html").stat().st_size > 100_000
    assert len(list((workdir / "plots").iterdir())) == 4


def test_summarize_counts_the_lectures_lenet(capsys):
    assert main(["launch.py", "summarize", EXPERIMENT, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["layers"]
    assert sum(row["parameters"] for row in rows) == 61_706
    assert main(["launch.py", "summarize", EXPERIMENT]) == 0
    assert "61,706" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", EXPERIMENT, "--help"], []])
def test_help_helps(capsys, arguments):
    assert main(["launch.py", *arguments]) == 0
    said = capsys.readouterr().out
    assert ("--config.optimizer.learning_rate=0.05" in said) == (EXPERIMENT in arguments)
    assert "train" in said
