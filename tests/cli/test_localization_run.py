"""Localization from training to prediction, on scenes of real garments, for a few steps."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from launching import needs_data
from PIL import Image
from small_runs import LOCALIZATION, TWO_STEPS

from convnets.cli.command_line import main
from convnets.pretrained.patterns import flat
from convnets.training.run import load_run
from tests.pretrained.small_variables import by_name, narrow, variables_of

pytestmark = needs_data()
DENSE = "--config.evaluation.protocol=dense"


@pytest.fixture
def run(localizer, tmp_path) -> Path:
    """A copy of the run, to be written to."""
    return Path(shutil.copytree(localizer, tmp_path / "run"))


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Images of odd sizes; the last is turned by its EXIF orientation."""
    folder, draws = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number, size in enumerate([(91, 53), (33, 141), (64, 64), (77, 101)]):
        picture = Image.fromarray(draws.integers(0, 255, (*size, 3), np.uint8))
        exif = picture.getexif()
        exif[0x0112] = 6 if number == 3 else 1
        picture.save(folder / f"{number}.jpg", quality=95, exif=exif)
    return folder


def arrays_of(workdir: Path) -> dict:
    """The parameters and statistics of a run's last checkpoint."""
    return flat(jax.device_get(load_run(workdir, "last").variables))


def test_a_run_reports_its_measures_and_pictures(localizer):
    summary = json.loads((localizer / "summary.json").read_text())
    assert 0 < summary["mean_iou"] < 1 and -1 < summary["mean_giou"] < 1
    assert summary["localization_error_top1"] >= summary["localization_error_top5"] >= summary["scr_error"]
    assert (localizer / "plots" / "localizations.png").exists()
    assert (localizer / "plots" / "accuracy_by_iou.png").exists()
    assert "True boxes (green) and predicted ones (red)" in (localizer / "report.html").read_text()
    kept = dict(np.load(localizer / "predictions_test.npz"))
    assert kept["boxes"].shape == (20, 1, 5, 4) and kept["iou_counts"].sum() == 20


def test_the_measures_are_the_same_for_any_batch_size(run, said):
    found = json.loads((run / "summary.json").read_text())
    other = said("evaluate", f"--workdir={run}", "--config.evaluation.batch_size=7")
    assert other["examples"] == found["examples"] == 20
    for name in ("loss", "top1", "mean_iou", "found", "localization_error_top5", "pck"):
        assert other[name] == pytest.approx(found[name], rel=1e-4)


def test_boxes_of_several_windows_are_merged(run, said):
    arguments = ("evaluate", f"--workdir={run}", DENSE, "--config.evaluation.scales=(1.5,)")
    merged, alone = said(*arguments), said(*arguments, "--config.task.merging=0.0")
    assert merged["views"] == 2 and merged["mean_iou"] != alone["mean_iou"]


def test_what_can_t_be_merged_or_kept_is_refused(run, refused):
    logits = refused("evaluate", f"--workdir={run}", DENSE, "--config.evaluation.average=logits")
    assert "evaluation.average" in logits
    assert "no class scores of an image" in refused("evaluate", f"--workdir={run}", "--scores")


def test_predicted_boxes_lie_in_the_pixels_of_the_files(localizer, said, refused, tmp_path, photographs):
    arguments = ["predict", f"--workdir={localizer}", photographs, f"--out={tmp_path / 'out'}"]
    records = said(*arguments)
    trained = load_run(localizer)
    model = trained.model
    apply = jax.jit(model.network.apply)
    for file, record in zip(sorted(photographs.iterdir()), records, strict=True):
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
        outputs = apply(trained.variables, model.normalize(pixels[None] / np.float32(255)))
        found = np.asarray(model.task.decode(outputs, {})["boxes"])[0, 0, 0] * 32
        across, down = width / square.width, height / square.height
        expected = (found + np.array([top, left] * 2)) * np.array([down, across] * 2)
        [one] = record["objects"]
        np.testing.assert_allclose(one["box"], expected, atol=0.02 * side)
        assert 0 < one["probability"] <= 1 and len(one["guesses"]) == 4
        y0, x0, y1, x1 = one["box"]
        assert 0 <= y0 <= y1 <= height and 0 <= x0 <= x1 <= width
    # And by the windows that are asked for.
    windows = said(*arguments, DENSE, "--config.evaluation.scales=(1.5,)")
    assert windows[0]["objects"] != records[0]["objects"]
    assert "is what the run" in refused(*arguments, "--config.task.hidden=3")


def test_no_picture_takes_the_place_of_an_image(localizer, refused, tmp_path):
    file = tmp_path / "cat_boxes.png"
    for path in (file, tmp_path / "cat.png"):
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)
    before = file.read_bytes()
    said = refused("predict", f"--workdir={localizer}", tmp_path / "cat.png", file, f"--out={tmp_path}")
    assert "cat_boxes.png is one of the images" in said
    assert file.read_bytes() == before


@pytest.mark.usefixtures("no_report")
def test_the_head_alone_is_trained_on_a_frozen_classifier(tmp_path, refused):
    """The lecture's recipe: a head of boxes is attached to a classifier, and nothing but the head trained."""
    classifier, head = tmp_path / "classifier.npz", tmp_path / "head"
    variables = variables_of(narrow("resnet8", width=0.25))
    np.savez(classifier, **by_name(variables))
    arguments = [
        *LOCALIZATION,
        *TWO_STEPS,
        f"--workdir={head}",
        f"--config.initialize.weights={classifier}",
        "--config.evaluation.checkpoint=last",
        "--config.freeze.below=logits",
        "--config.freeze.layers=('logits',)",
    ]
    assert "head/bias is absent there" in refused("train", *arguments)
    assert main(["", "train", *arguments, "--config.initialize.allow=('head*',)"]) == 0
    there, here = flat(variables), arrays_of(head)
    assert {path[1] for path in here.keys() - there.keys()} == {"head"}
    for path, array in there.items():
        np.testing.assert_array_equal(here[path], array, err_msg="/".join(path))


@pytest.mark.usefixtures("no_report")
def test_several_objects_in_any_order_are_learned_and_predicted(tmp_path, said, refused, photographs):
    workdir = tmp_path / "two"
    two = ["--config.data.objects=(2, 2)", "--config.task.objects=2", "--config.task.order=free"]
    assert main(["", "train", *LOCALIZATION, *TWO_STEPS, *two, f"--workdir={workdir}"]) == 0
    summary = json.loads((workdir / "summary.json").read_text())
    assert {"mean_iou_1", "mean_iou_2", "pck"} <= summary.keys()
    records = said("predict", f"--workdir={workdir}", photographs, f"--out={tmp_path / 'out'}")
    assert all(len(record["objects"]) == 2 for record in records)
    assert "objects in any order" in refused("evaluate", f"--workdir={workdir}", DENSE)


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("--config.task.objects=3", "task.objects is 3, and examples of 'scenes' have 1 boxes"),
        ("--config.augmentation=(('mixup', {}),)", "these have mask"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(tmp_path, refused, field, sentence):
    assert sentence in refused("train", *LOCALIZATION, field, f"--workdir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()
