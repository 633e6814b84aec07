"""A task that no other file knows (points.py) trains, resumes, evaluates on any devices, predicts and reports."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnets.cli.command_line import main
from convnets.training.metrics_log import read_records

sys.path.append(str(Path(__file__).parents[1] / "cli"))
from launching import launch

EXPERIMENT = f"--config={Path(__file__).with_name('points.py')}"
COMPARED = ("examples", "loss", "average_precision")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("points") / "run"
    assert main(["", "train", EXPERIMENT, f"--workdir={folder}"]) == 0
    return folder


def result(folder: Path) -> dict[str, float]:
    return {name: read_records(folder / "metrics.jsonl")[-1][name] for name in COMPARED}


def test_its_metric_is_computed_from_the_records_of_every_example(workdir):
    with np.load(workdir / "predictions_test.npz") as kept:
        scores, labels = kept["scores"].ravel(), kept["point_labels"].ravel()
    better = [np.mean(labels[scores >= score]) for score in scores[labels > 0]]
    assert result(workdir)["examples"] == 45 and len(scores) == 45 * 5
    assert result(workdir)["average_precision"] == pytest.approx(np.mean(better), abs=1e-6)


def test_it_resumes_exactly(workdir, tmp_path):
    again = Path(shutil.copytree(workdir, tmp_path / "again"))
    shutil.rmtree(again / "checkpoints" / "12")
    assert main(["", "train", EXPERIMENT, f"--workdir={again}"]) == 0
    assert result(again) == result(workdir)
    with np.load(workdir / "predictions_test.npz") as one, np.load(again / "predictions_test.npz") as other:
        np.testing.assert_array_equal(one["scores"], other["scores"])


@pytest.mark.processes
@pytest.mark.parametrize(
    ("devices", "flags"), [(8, []), (1, ["--local_processes=2"])], ids=["8 devices", "2 processes"]
)
def test_devices_and_processes_change_nothing(workdir, tmp_path, devices, flags):
    """Of 45 examples in batches of 16 the last is padded."""
    status, said = launch(["train", EXPERIMENT, f"--workdir={tmp_path / 'run'}", *flags], devices)
    assert status == 0, said
    assert result(tmp_path / "run") == pytest.approx(result(workdir), rel=1e-3)


def test_it_predicts_and_reports(workdir, tmp_path, capsys):
    Image.new("L", (40, 40), 200).save(tmp_path / "grey.png")
    assert main(["", "predict", f"--workdir={workdir}", "--json", str(tmp_path / "grey.png")]) == 0
    [record] = json.loads(capsys.readouterr().out)
    assert len(record["scores"]) == 5
    assert "average_precision" in (workdir / "report.html").read_text()
