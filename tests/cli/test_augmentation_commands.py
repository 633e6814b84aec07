"""`launch.py augment` and `statistics`, and principal components that training counts by itself."""

import json
import os

import numpy as np
import pytest
from launching import EXPERIMENT, ROOT, needs_data
from PIL import Image

from convnets.cli.command_line import main
from convnets.data import fashion_mnist

pytestmark = needs_data()


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_augment_draws_a_sheet(tmp_path):
    chain = "--config.augmentation=(('flip',{}),('affine',{}),('mixup',{}))"
    out = tmp_path / "sheet.png"
    assert main(["launch.py", "augment", EXPERIMENT, chain, "--rows=3", "--columns=4", f"--out={out}"]) == 0
    with Image.open(out) as picture:
        width, height = picture.size
        assert width > height > 300
        assert len(set(picture.convert("L").tobytes())) > 100


def test_statistics_are_those_of_the_training_pixels(capsys):
    assert main(["launch.py", "statistics", EXPERIMENT, "--json", "--config.validation.examples=0"]) == 0
    found = json.loads(capsys.readouterr().out)
    whole = fashion_mnist.load("train", padding=2)
    pixels = whole.batch(np.arange(len(whole)))["image"] / 255
    assert found["mean"] == [pytest.approx(pixels.mean())]
    assert found["std"] == [pytest.approx(pixels.std())]
    assert found["components"] == [[pytest.approx(pixels.std())]]
    assert main(["launch.py", "statistics", EXPERIMENT]) == 0
    assert "principal component 1" in capsys.readouterr().out


def test_training_counts_principal_components_once_and_keeps_them_with_the_run(tmp_path, capsys):
    workdir = tmp_path / "run"
    train = (
        "launch.py",
        "train",
        EXPERIMENT,
        "--config.augmentation=(('pca_colour',{}),)",
        "--config.train.batch_size=64",
        "--config.validation.examples=59000",
        "--config.evaluation.batch_size=2000",
        "--config.schedule.warmup=0 steps",
        "--config.train.duration=4 steps",
        f"--workdir={workdir}",
    )
    assert main(list(train)) == 0
    kept = json.loads((workdir / "statistics.json").read_text())
    assert kept["images"] == 1000
    assert kept["components"] == [[pytest.approx(0.33, abs=0.02)]]
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
        (("augment", EXPERIMENT, "--out=a.png", "--config.augmentation=(('random_crop',{'size':64}),)"), "64"),
    ],
)
def test_what_cant_be_is_refused_in_a_sentence(capsys, arguments, sentence):
    assert main(["launch.py", *arguments]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
