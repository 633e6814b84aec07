"""Segmentation from training to prediction, on scenes of real garments, for a few steps."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launching import ROOT, needs_data
from PIL import Image

from convnets import data
from convnets.cli.command_line import main
from convnets.plots.class_colours import class_colours
from convnets.training.workdir import Workdir

pytestmark = needs_data()

FIELDS = (
    "--config=experiments/segmentation_scenes.py",
    "--config.network.name=resnet20",
    "--config.network.width=0.25",
    "--config.task.stride=2",
    "--config.network.dtype=float32",
    "--config.data.size=64",
    "--config.train.resolutions=(('0 steps', 32), ('6 steps', 64))",
    "--config.data.examples=300",
    "--config.validation.examples=20",
    "--config.train.batch_size=16",
    "--config.train.duration=12 steps",
    "--config.evaluation.every=12 steps",
    "--config.evaluation.batch_size=16",
    "--config.evaluation.protocol=centre_crop",
    "--config.evaluation.scales=()",
    "--config.log.every=4 steps",
    "--config.schedule.warmup=2 steps",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    os.chdir(ROOT)
    workdir = tmp_path_factory.mktemp("runs") / "scenes"
    assert main(["launch.py", "train", *FIELDS, f"--workdir={workdir}"]) == 0
    return workdir


def said(capsys: Any, *arguments: str) -> Any:
    """What a command prints with --json."""
    capsys.readouterr()
    assert main(["launch.py", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_reports_its_measures_and_pictures(run):
    summary = json.loads((run / "summary.json").read_text())
    assert 0 < summary["mean_iu"] < 1 and 0 < summary["pixel_accuracy"] <= 1
    assert (run / "plots" / "segmentations.png").exists() and (run / "plots" / "class_iu.png").exists()
    report = (run / "report.html").read_text()
    rows = summary["tables"]["IU of each class"]
    assert "<h2>IU of each class</h2>" in report and report.count("<td>background</td>") == 1
    assert all(f'<td class="number">{row["IU"]:.4f}</td>' in report for row in rows if row["IU"] is not None)
    assert "Images, truth and prediction" in report and "mean_iu" in report


def test_the_confusion_matrix_that_is_kept_counts_every_pixel_of_the_test_split(run):
    kept = Workdir(run).load_predictions("test")
    assert kept is not None
    source = data.create("scenes", "test", size=64, examples=300, objects=(3, 4), scale=(0.35, 0.5))
    counts = np.bincount(np.concatenate([source[i]["mask"].ravel() for i in range(len(source))]), minlength=11)
    assert kept["confusion"].sum(axis=(0, 2)).tolist() == counts.tolist()
    assert kept["place"].tolist() == list(range(len(source))), "a small split is kept whole"


def test_the_iu_of_each_class_is_said_by_name_wherever_the_measures_are(run, capsys):
    counts = Workdir(run).load_predictions("test")["confusion"].sum(0)
    result = said(capsys, "evaluate", f"--workdir={run}")
    kept = json.loads((run / "evaluation_test_centre_crop.json").read_text())
    rows = result["tables"]["IU of each class"]
    assert rows == kept["tables"]["IU of each class"]
    assert [row["class"] for row in rows] == list(data.create("scenes", "test", size=64).info.mask_classes)
    for number, row in enumerate(rows):
        right, union = counts[number, number], counts[number].sum() + counts[:, number].sum() - counts[number, number]
        assert row["IU"] == (pytest.approx(right / union) if union else None)
        assert row["share of the pixels"] == pytest.approx(counts[number].sum() / counts.sum())
    assert np.mean([row["IU"] for row in rows if row["IU"] is not None]) == pytest.approx(result["mean_iu"])
    assert main(["launch.py", "evaluate", f"--workdir={run}"]) == 0
    printed = capsys.readouterr().out
    assert "IU of each class" in printed and f"{rows[0]['IU']:.4f}" in printed


def test_the_measures_are_the_same_for_any_batch_size_and_as_one_view(run, capsys):
    found = said(capsys, "evaluate", f"--workdir={run}")
    other = said(capsys, "evaluate", f"--workdir={run}", "--config.evaluation.batch_size=7")
    view = said(capsys, "evaluate", f"--workdir={run}", "--config.evaluation.protocol=whole_image")
    for result in (other, view):
        assert result["examples"] == found["examples"] == 30
        for name in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"):
            assert result[name] == pytest.approx(found[name], abs=1e-4)
        assert result["loss"] == pytest.approx(found["loss"], rel=1e-4)


def test_several_scales_and_mirror_images_are_averaged(run, capsys):
    arguments = ["--config.evaluation.protocol=whole_and_mirrored", "--config.evaluation.scales=(1.0, 1.5)"]
    result = said(capsys, "evaluate", f"--workdir={run}", *arguments)
    assert result["views"] == 4 and 0 < result["mean_iu"] < 1


def test_protocols_of_crops_and_scores_of_pixels_are_refused(run, capsys):
    assert main(["launch.py", "evaluate", f"--workdir={run}", "--config.evaluation.protocol=ten_crop"]) == 1
    assert "answers for pixels: use 'centre_crop'" in capsys.readouterr().err
    assert main(["launch.py", "evaluate", f"--workdir={run}", "--scores"]) == 1
    assert "the scores of every pixel are not kept" in capsys.readouterr().err


def test_stages_are_probed_for_classification_alone(run, capsys, tmp_path):
    for arguments in ([f"--workdir={run}"], [*FIELDS[:1], f"--workdir={tmp_path}"]):
        assert main(["launch.py", "probe", *arguments]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: launch.py probe trains classifiers of images, and the task is 'segmentation'")
        assert said.count("\n") == 1


def test_predictions_are_pictures_of_the_files_own_sizes(run, capsys, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    draws = np.random.default_rng(0)
    for name, size in {"tall": (90, 50), "wide": (33, 140)}.items():
        Image.fromarray(draws.integers(0, 255, (*size, 3), np.uint8)).save(photos / f"{name}.png")
    records = said(capsys, "predict", f"--workdir={run}", str(photos), f"--out={tmp_path / 'out'}")
    for record, size in zip(records, [(90, 50), (33, 140)], strict=True):
        with Image.open(record["mask"]) as mask, Image.open(record["overlay"]) as overlay:
            assert mask.mode == "P" and mask.size == overlay.size == size[::-1]
            values = np.asarray(mask)
            assert np.array_equal(np.asarray(mask.convert("RGB")), class_colours()[values])
        shares = {part["value"]: part["share"] for part in record["classes"]}
        assert shares == {int(value): pytest.approx(np.mean(values == value)) for value in np.unique(values)}


def test_a_finer_network_begins_with_a_coarser_one(run, tmp_path, capsys):
    fields = [
        *FIELDS,
        "--config.task.stride=1",
        f"--config.initialize.workdir={run}",
        f"--workdir={tmp_path / 'finer'}",
    ]
    assert main(["launch.py", "train", *fields]) == 1
    assert "head/score_stem/kernel is absent there" in capsys.readouterr().err
    allowed = [
        "--config.initialize.allow=('head*',)",
        "--config.train.duration=7 steps",
        "--config.evaluation.every=7 steps",
    ]
    assert main(["launch.py", "train", *fields, *allowed]) == 0
    arrays = json.loads((tmp_path / "finer" / "initialization.json").read_text())["arrays"]
    assert {entry["what"] for entry in arrays if entry["name"].startswith("logits")} == {"taken"}
    assert {entry["what"] for entry in arrays if entry["name"].startswith("head/score_stem")} == {"new"}


def test_no_picture_takes_the_place_of_another_or_of_an_image(run, capsys, tmp_path):
    files = [tmp_path / name for name in ("cat.png", "cat.jpg", "cat_overlay.jpg")]
    for file in files:
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(file)
    paths = [str(file) for file in files]
    records = said(capsys, "predict", f"--workdir={run}", *paths, f"--out={tmp_path / 'out'}")
    assert len({record[picture] for record in records for picture in ("mask", "overlay")}) == 2 * len(files)
    before = files[0].read_bytes()
    assert main(["launch.py", "predict", f"--workdir={run}", *paths, f"--out={tmp_path}"]) == 1
    assert "cat.png is one of the images, and would be written over" in capsys.readouterr().err
    assert files[0].read_bytes() == before


def test_runs_are_compared_by_their_measures_and_side_by_side(run, tmp_path, capsys):
    other = tmp_path / "resized"
    arguments = (*FIELDS, "--config.task.upsampling=resize", f"--workdir={other}")
    assert main(["launch.py", "train", *arguments]) == 0
    out = tmp_path / "compared.png"
    rows = said(capsys, "compare", str(run.parent), str(other), f"--out={out}")
    assert [row["experiment"] for row in rows] == ["scenes", "resized"] and [row["seeds"] for row in rows] == [1, 1]
    for row, workdir in zip(rows, (run, other), strict=True):
        summary = json.loads((workdir / "summary.json").read_text())
        measures = ("mean_iu", "boundary_mean_iu", "pixel_accuracy", "loss")
        assert {name: row[name] for name in measures} == {name: summary[name] for name in measures}
    assert out.exists()
    with Image.open(tmp_path / "compared_examples.png") as picture:
        # Image, truth and two networks across, six examples down.
        assert picture.width < picture.height
    assert main(["launch.py", "compare", str(run), str(other)]) == 0
    printed = capsys.readouterr().out
    assert "boundary_mean_iu" in printed and f"{rows[0]['mean_iu']:.4f}" in printed
