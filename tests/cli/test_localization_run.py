"""Localization from training to prediction, on scenes of real garments, for a few steps."""

import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from launching import ROOT, needs_data
from PIL import Image

from convnets.cli.command_line import main
from convnets.cli.experiments import override
from convnets.pretrained.patterns import flat
from convnets.training.checkpoints import restore_variables
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir

pytestmark = needs_data()

FIELDS = (
    "--config=experiments/localization_scenes.py",
    "--config.network.name=resnet20",
    "--config.network.width=0.25",
    "--config.network.image_size=32",
    "--config.network.dtype=float32",
    "--config.task.hidden=16",
    "--config.data.size=32",
    "--config.data.examples=300",
    "--config.validation.examples=20",
    "--config.train.batch_size=16",
    "--config.train.duration=12 steps",
    "--config.evaluation.every=12 steps",
    "--config.evaluation.batch_size=16",
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


def refused(capsys: Any, *arguments: str) -> str:
    assert main(["launch.py", *arguments]) == 1
    return str(capsys.readouterr().err)


def arrays_of(run: Path) -> dict[Any, np.ndarray]:
    """The parameters and statistics of a run's last checkpoint."""
    workdir = Workdir(run)
    config = override(workdir.config(), [])
    _, variables = restore_variables(workdir, config, build_model(config, workdir.info()), "last")
    return flat(jax.device_get(variables))


def test_a_run_reports_its_measures_and_pictures(run):
    summary = json.loads((run / "summary.json").read_text())
    assert 0 < summary["mean_iou"] < 1 and -1 < summary["mean_giou"] < 1
    assert summary["localization_error_top1"] >= summary["localization_error_top5"] >= summary["scr_error"]
    assert (run / "plots" / "localizations.png").exists() and (run / "plots" / "accuracy_by_iou.png").exists()
    assert "True boxes (green) and predicted ones (red)" in (run / "report.html").read_text()
    kept = Workdir(run).load_predictions("test")
    assert kept is not None and kept["boxes"].shape == (30, 1, 5, 4) and kept["iou_counts"].sum() == 30


def test_the_measures_are_the_same_for_any_batch_size(run, capsys):
    found = said(capsys, "evaluate", f"--workdir={run}")
    other = said(capsys, "evaluate", f"--workdir={run}", "--config.evaluation.batch_size=7")
    assert other["examples"] == found["examples"] == 30
    for name in ("loss", "top1", "mean_iou", "found", "localization_error_top5", "pck"):
        assert other[name] == pytest.approx(found[name], rel=1e-4)


def test_boxes_of_several_windows_are_merged(run, capsys):
    dense = ["--config.evaluation.protocol=dense", "--config.evaluation.scales=(1.0, 1.5)"]
    merged = said(capsys, "evaluate", f"--workdir={run}", *dense)
    alone = said(capsys, "evaluate", f"--workdir={run}", *dense, "--config.task.merging=0.0")
    assert merged["views"] == 4 and merged["mean_iou"] != alone["mean_iou"]
    ten = said(capsys, "evaluate", f"--workdir={run}", "--config.evaluation.protocol=ten_crop")
    assert ten["views"] == 10 and 0 < ten["mean_iou"] < 1


def test_what_can_t_be_merged_or_kept_is_refused(run, capsys):
    dense = (f"--workdir={run}", "--config.evaluation.protocol=dense")
    assert "evaluation.average" in refused(capsys, "evaluate", *dense, "--config.evaluation.average=logits")
    assert "the scores of boxes are not kept" in refused(capsys, "evaluate", f"--workdir={run}", "--scores")


def photographs(folder: Path) -> list[Path]:
    """Of odd sizes; the last is turned by its EXIF orientation."""
    folder.mkdir()
    draws = np.random.default_rng(0)
    files = []
    for number, size in enumerate([(91, 53), (33, 141), (64, 64), (77, 101)]):
        file = folder / f"{number}.jpg"
        picture = Image.fromarray(draws.integers(0, 255, (*size, 3), np.uint8))
        exif = picture.getexif()
        exif[0x0112] = 6 if number == 3 else 1
        picture.save(file, quality=95, exif=exif)
        files.append(file)
    return files


def test_predicted_boxes_lie_in_the_pixels_of_the_files(run, capsys, tmp_path):
    files = photographs(tmp_path / "photos")
    records = said(capsys, "predict", f"--workdir={run}", str(tmp_path / "photos"), f"--out={tmp_path / 'out'}")
    workdir = Workdir(run)
    config = override(workdir.config(), [])
    model = build_model(config, workdir.info())
    _, variables = restore_variables(workdir, config, model, "best")
    for file, record in zip(files, records, strict=True):
        with Image.open(file) as opened, Image.open(record["picture"]) as drawn:
            upright = opened.transpose(Image.Transpose.ROTATE_270) if file.stem == "3" else opened.convert("RGB")
            assert drawn.size == upright.size == (record["width"], record["height"])
            # The central square, brought to 32 x 32, by hand.
            width, height = upright.size
            side = min(width, height)
            square = upright.resize(
                (round(width * 32 / side), round(height * 32 / side)), Image.Resampling.BILINEAR, reducing_gap=None
            )
            left, top = (square.width - 32) // 2, (square.height - 32) // 2
            pixels = np.asarray(square.crop((left, top, left + 32, top + 32)))
        outputs = model.network.apply(variables, model.normalize(pixels[None] / np.float32(255)))
        found = np.asarray(model.task.predictions(outputs)["boxes"])[0, 0, 0] * 32
        across, down = width / square.width, height / square.height
        expected = (found + np.array([top, left] * 2)) * np.array([down, across] * 2)
        [one] = record["objects"]
        np.testing.assert_allclose(one["box"], expected, atol=0.02 * side)
        assert 0 < one["probability"] <= 1 and len(one["guesses"]) == 4
        y0, x0, y1, x1 = one["box"]
        assert 0 <= y0 <= y1 <= height and 0 <= x0 <= x1 <= width


def test_predictions_are_made_by_the_windows_that_are_asked_for(run, capsys, tmp_path):
    photographs(tmp_path / "photos")
    arguments = ["predict", f"--workdir={run}", str(tmp_path / "photos"), f"--out={tmp_path / 'out'}"]
    dense = ["--config.evaluation.protocol=dense", "--config.evaluation.scales=(1.5,)"]
    one, several = said(capsys, *arguments), said(capsys, *arguments, *dense)
    assert one[0]["objects"] != several[0]["objects"]
    assert "is what the run" in refused(capsys, *arguments, "--config.task.hidden=3")


def test_no_picture_takes_the_place_of_an_image(run, capsys, tmp_path):
    file = tmp_path / "cat_boxes.png"
    for path in (file, tmp_path / "cat.png"):
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)
    before = file.read_bytes()
    arguments = ["predict", f"--workdir={run}", str(tmp_path / "cat.png"), str(file), f"--out={tmp_path}"]
    assert "cat_boxes.png is one of the images" in refused(capsys, *arguments)
    assert file.read_bytes() == before


def test_the_head_alone_is_trained_on_a_frozen_classifier(tmp_path, capsys):
    """The lecture's recipe: a classifier is trained, a head of boxes attached, and nothing but the head trained."""
    classifier = ["--config.task.name=classification", f"--workdir={tmp_path / 'classifier'}"]
    assert main(["launch.py", "train", *FIELDS[:5], *FIELDS[6:], *classifier]) == 0
    head = [
        *FIELDS,
        f"--workdir={tmp_path / 'head'}",
        f"--config.initialize.workdir={tmp_path / 'classifier'}",
        "--config.initialize.checkpoint=last",
        "--config.evaluation.checkpoint=last",
        "--config.freeze.below=logits",
        "--config.freeze.layers=('logits',)",
    ]
    assert "head/bias is absent there" in refused(capsys, "train", *head)
    assert main(["launch.py", "train", *head, "--config.initialize.allow=('head*',)"]) == 0
    there, here = arrays_of(tmp_path / "classifier"), arrays_of(tmp_path / "head")
    assert {path[1] for path in here.keys() - there.keys()} == {"head"}
    for path, array in there.items():
        np.testing.assert_array_equal(here[path], array, err_msg="/".join(path))


def test_several_objects_in_any_order_are_learned_and_predicted(tmp_path, capsys):
    workdir = tmp_path / "two"
    two = ["--config.data.objects=(2, 2)", "--config.task.objects=2", "--config.task.order=free"]
    assert main(["launch.py", "train", *FIELDS, *two, f"--workdir={workdir}"]) == 0
    summary = json.loads((workdir / "summary.json").read_text())
    assert {"mean_iou_1", "mean_iou_2", "pck"} <= summary.keys()
    photographs(tmp_path / "photos")
    records = said(capsys, "predict", f"--workdir={workdir}", str(tmp_path / "photos"), f"--out={tmp_path / 'out'}")
    assert all(len(record["objects"]) == 2 for record in records)
    dense = [f"--workdir={workdir}", "--config.evaluation.protocol=dense"]
    assert "objects in any order" in refused(capsys, "evaluate", *dense)


def test_objects_that_do_not_fit_the_data_are_refused(tmp_path, capsys):
    said_of = refused(capsys, "train", *FIELDS, "--config.task.objects=3", f"--workdir={tmp_path / 'run'}")
    assert "task.objects is 3, and examples of 'scenes' have 1 boxes" in said_of
    assert not (tmp_path / "run").exists()


def test_mixtures_of_labels_are_refused(tmp_path, capsys):
    mixed = "--config.augmentation=(('mixup', {}),)"
    assert "these have mask" in refused(capsys, "train", *FIELDS, mixed, f"--workdir={tmp_path / 'run'}")
