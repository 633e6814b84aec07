"""`launch.py augment` and `statistics`, and principal components that training counts by itself."""

import json
import os

import numpy as np
import pytest
from launching import EXPERIMENT, ROOT
from PIL import Image
from small_runs import CLASSIFICATION, TWO_STEPS, stripes

from convnets.cli.command_line import main
from convnets.data.views import train_validation_split

STRIPES = (EXPERIMENT, "--config.data.name=stripes", "--config.validation.examples=0")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_augment_draws_a_sheet(tmp_path):
    chain = "--config.augmentation=(('flip',{}),('affine',{}),('mixup',{}))"
    out = tmp_path / "sheet.png"
    assert main(["launch.py", "augment", *STRIPES, chain, "--rows=3", "--columns=4", f"--out={out}"]) == 0
    with Image.open(out) as picture:
        width, height = picture.size
        assert width > height > 300
        assert len(set(picture.convert("L").tobytes())) > 100


def test_statistics_are_those_of_the_training_pixels(capsys):
    assert main(["launch.py", "statistics", *STRIPES, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    whole = stripes("train")
    pixels = whole.batch(np.arange(len(whole)))["image"] / 255
    assert found["mean"] == [pytest.approx(pixels.mean())]
    assert found["std"] == [pytest.approx(pixels.std())]
    assert found["components"] == [[pytest.approx(pixels.std())]]
    assert main(["launch.py", "statistics", *STRIPES]) == 0
    assert "principal component 1" in capsys.readouterr().out


@pytest.mark.usefixtures("no_report")
def test_training_counts_principal_components_once_and_keeps_them_with_the_run(tmp_path):
    workdir = tmp_path / "run"
    colour = "--config.augmentation=(('pca_colour',{}),)"
    train = ("launch.py", "train", *CLASSIFICATION, *TWO_STEPS, colour, f"--workdir={workdir}")
    assert main(list(train)) == 0
    kept = json.loads((workdir / "statistics.json").read_text())
    images, _ = train_validation_split(stripes("train"), 41, 0)
    assert kept["images"] == len(images) == 159
    pixels = images.batch(np.arange(len(images)))["image"] / 255
    assert kept["components"] == [[pytest.approx(pixels.std())]]
    before = os.stat(workdir / "statistics.json").st_mtime_ns
    assert main(list(train)) == 0
    assert os.stat(workdir / "statistics.json").st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("augment", EXPERIMENT), "--out is missing"),
        (("augment", EXPERIMENT, "--out=sheet.gif"), "let it end in .png"),
        (("augment", EXPERIMENT, "--out=sheet.png", "--rows=0"), "--rows is 0, and must lie in [1, 32]"),
        (("augment", "--out=sheet.png"), "--config is missing"),
        (("augment", *STRIPES, "--out=a.png", "--config.augmentation=(('random_crop',{'size':64}),)"), "64"),
    ],
)
def test_what_cant_be_is_refused_in_a_sentence(capsys, arguments, sentence):
    assert main(["launch.py", *arguments]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
