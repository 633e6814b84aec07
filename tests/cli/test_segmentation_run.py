"""Segmentation from training to prediction, on scenes of real garments, for a few steps."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from launching import needs_data
from PIL import Image
from small_runs import SEGMENTATION, TWO_STEPS, without_report

from convnets import data
from convnets.cli.command_line import main
from convnets.plots.segmentation import class_colours

pytestmark = needs_data()


@pytest.fixture
def run(segmenter, tmp_path) -> Path:
    """A copy of the run, to be written to."""
    return Path(shutil.copytree(segmenter, tmp_path / "run"))


def test_a_run_reports_its_measures_and_pictures(segmenter):
    summary = json.loads((segmenter / "summary.json").read_text())
    assert 0 < summary["mean_iu"] < 1 and 0 < summary["pixel_accuracy"] <= 1
    assert (segmenter / "plots" / "segmentations.png").exists() and (segmenter / "plots" / "class_iu.png").exists()
    report = (segmenter / "report.html").read_text()
    rows = summary["tables"]["IU of each class"]
    assert "<h2>IU of each class</h2>" in report and report.count("<td>background</td>") == 1
    assert all(f'<td class="number">{row["IU"]:.4f}</td>' in report for row in rows if row["IU"] is not None)
    assert "Images, truth and prediction" in report and "mean_iu" in report


def test_the_iu_of_each_class_is_that_of_the_confusion_matrix_of_all_pixels(run, capsys):
    kept = dict(np.load(run / "predictions_test.npz"))
    source = data.create("scenes", "test", size=64, examples=200, objects=(3, 4), scale=(0.35, 0.5))
    pixels = np.concatenate([source[i]["mask"].ravel() for i in range(len(source))])
    counts = kept["confusion"].sum(0)
    assert counts.sum(1).tolist() == np.bincount(pixels, minlength=11).tolist()
    assert kept["place"].tolist() == list(range(len(source))), "a small split is kept whole"
    capsys.readouterr()
    assert main(["", "evaluate", f"--workdir={run}"]) == 0
    printed = capsys.readouterr().out
    result = json.loads((run / "evaluation_test_centre_crop.json").read_text())
    rows = result["tables"]["IU of each class"]
    assert "IU of each class" in printed and f"{rows[0]['IU']:.4f}" in printed
    assert [row["class"] for row in rows] == list(source.info.mask_classes)
    for number, row in enumerate(rows):
        right, union = counts[number, number], counts[number].sum() + counts[:, number].sum() - counts[number, number]
        assert row["IU"] == (pytest.approx(right / union) if union else None)
        assert row["share of the pixels"] == pytest.approx(counts[number].sum() / counts.sum())
    assert np.mean([row["IU"] for row in rows if row["IU"] is not None]) == pytest.approx(result["mean_iu"])


def test_the_measures_are_the_same_for_any_batch_size_and_as_one_view(run, said):
    found = json.loads((run / "summary.json").read_text())
    fields = ("--config.evaluation.batch_size=7", "--config.evaluation.protocol=whole_image")
    other = said("evaluate", f"--workdir={run}", *fields)
    assert other["examples"] == found["examples"] == 20
    for name in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"):
        assert other[name] == pytest.approx(found[name], abs=1e-4)
    assert other["loss"] == pytest.approx(found["loss"], rel=1e-4)
    scaled = ["--config.evaluation.protocol=whole_and_mirrored", "--config.evaluation.scales=(1.5,)"]
    result = said("evaluate", f"--workdir={run}", *scaled)
    assert result["views"] == 2 and 0 < result["mean_iu"] < 1


def test_protocols_of_crops_and_scores_of_pixels_are_refused(run, refused):
    crops = refused("evaluate", f"--workdir={run}", "--config.evaluation.protocol=ten_crop")
    assert "evaluation.protocol 'ten_crop'" in crops and "use 'centre_crop'" in crops
    assert "no class scores of an image" in refused("evaluate", f"--workdir={run}", "--scores")


def test_its_stages_are_probed_for_the_labels_of_its_images(run, said):
    probes = said("probe", f"--workdir={run}")
    assert probes[0]["stage"] == "stem" and all(0 <= each["test"] <= 1 for each in probes)


def test_predictions_are_pictures_of_the_files_own_sizes(segmenter, said, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    draws = np.random.default_rng(0)
    for name, size in {"tall": (90, 50), "wide": (33, 140)}.items():
        Image.fromarray(draws.integers(0, 255, (*size, 3), np.uint8)).save(photos / f"{name}.png")
    records = said("predict", f"--workdir={segmenter}", photos, f"--out={tmp_path / 'out'}")
    for record, size in zip(records, [(90, 50), (33, 140)], strict=True):
        with Image.open(record["mask"]) as mask, Image.open(record["overlay"]) as overlay:
            assert mask.mode == "P" and mask.size == overlay.size == size[::-1]
            values = np.asarray(mask)
            assert np.array_equal(np.asarray(mask.convert("RGB")), class_colours()[values])
        shares = {part["value"]: part["share"] for part in record["classes"]}
        assert shares == {int(value): pytest.approx(np.mean(values == value)) for value in np.unique(values)}


def test_no_picture_takes_the_place_of_another_or_of_an_image(segmenter, said, refused, tmp_path):
    files = [tmp_path / name for name in ("cat.png", "cat.jpg", "cat_overlay.jpg")]
    for file in files:
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(file)
    records = said("predict", f"--workdir={segmenter}", *files, f"--out={tmp_path / 'out'}")
    assert len({record[picture] for record in records for picture in ("mask", "overlay")}) == 2 * len(files)
    before = files[0].read_bytes()
    assert "cat.png is one of the images, and would be written over" in refused(
        "predict", f"--workdir={segmenter}", *files, f"--out={tmp_path}"
    )
    assert files[0].read_bytes() == before


@pytest.fixture(scope="module")
def finer_fields(segmenter) -> tuple[str, ...]:
    """Of a network that begins with a coarser one."""
    fields = ("--config.task.stride=1", "--config.task.upsampling=resize", "--config.train.resolutions=()")
    return (*SEGMENTATION, *TWO_STEPS, *fields, f"--config.initialize.workdir={segmenter}")


@pytest.fixture(scope="module")
def finer(finer_fields, tmp_path_factory) -> Path:
    """The workdir of its run, without a report."""
    workdir = tmp_path_factory.mktemp("runs") / "finer"
    with without_report():
        assert main(["", "train", *finer_fields, "--config.initialize.allow=('head*',)", f"--workdir={workdir}"]) == 0
    return workdir


def test_a_finer_network_begins_with_a_coarser_one(finer_fields, finer, tmp_path, refused):
    assert "head/score_stem/kernel is absent there" in refused("train", *finer_fields, f"--workdir={tmp_path / 'run'}")
    arrays = json.loads((finer / "initialization.json").read_text())["arrays"]
    assert {entry["what"] for entry in arrays if entry["name"].startswith("logits")} == {"taken"}
    assert {entry["what"] for entry in arrays if entry["name"].startswith("head/score_stem")} == {"new"}


def test_runs_are_compared_by_their_measures_and_side_by_side(segmenter, finer, tmp_path, said, capsys):
    out = tmp_path / "compared.png"
    rows = said("compare", segmenter.parent, finer, f"--out={out}")
    assert [row["experiment"] for row in rows] == ["scenes", "finer"] and [row["seeds"] for row in rows] == [1, 1]
    for row, workdir in zip(rows, (segmenter, finer), strict=True):
        summary = json.loads((workdir / "summary.json").read_text())
        measures = ("mean_iu", "boundary_mean_iu", "pixel_accuracy", "loss")
        assert {name: row[name] for name in measures} == {name: summary[name] for name in measures}
    assert out.exists()
    with Image.open(tmp_path / "compared_examples.png") as picture:
        # Image, truth and two networks across, six examples down.
        assert picture.width < picture.height
    assert main(["", "compare", str(segmenter), str(finer)]) == 0
    printed = capsys.readouterr().out
    assert "boundary_mean_iu" in printed and f"{rows[0]['mean_iu']:.4f}" in printed
