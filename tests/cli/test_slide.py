"""`launch.py slide`: a run's classifier over larger images."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from launching import EXPERIMENT, ROOT, needs_data
from PIL import Image

from convnets import data
from convnets.cli.command_line import main
from convnets.cli.experiments import load_experiment, override
from convnets.cli.slide import larger_image
from convnets.data import fashion_mnist
from convnets.training.checkpoints import Checkpoints
from convnets.training.config import options_of, to_json
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state, load_splits
from convnets.training.workdir import Workdir

pytestmark = needs_data()


def begun(folder: Path, *fields: str) -> Path:
    """The workdir of a run on Fashion-MNIST that was stopped before its first step."""
    os.chdir(ROOT)
    config = override(load_experiment(EXPERIMENT.partition("=")[2]), fields)
    train = load_splits(config).train
    model = build_model(config, train.info)
    workdir = Workdir(folder)
    workdir.claim(config, train.info, {})
    state = initial_state(config, model, make_plan(config, model, len(train)))
    with Checkpoints(workdir.checkpoints) as checkpoints:
        checkpoints.save(0, jax.device_get(state), {})
    return folder


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begun(tmp_path_factory.mktemp("slide"))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fields = "--config.network.name=resnet20", "--config.network.width=0.25"
    return begun(tmp_path_factory.mktemp("slide"), *fields)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(2).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).resize((120, 80)).save(tmp_path / "photograph.png")
    return tmp_path / "photograph.png"


def slid(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["launch.py", "slide", *arguments]) == 0
    return capsys.readouterr().out


def test_a_network_without_padding_says_the_same_both_ways_of_a_file(lenet, photograph, capsys):
    found: Any = json.loads(slid(capsys, f"--workdir={lenet}", str(photograph), "--size=40", "--seconds=0", "--json"))
    assert (found["image"], found["image_size"]) == ("photograph.png", [40, 60]), "the short side brought to 40 pixels"
    assert (found["window"], found["stride"], found["windows"]) == ([32, 32], [4, 4], 3 * 8)
    assert (found["equal"], found["share_equal"], found["padded"]) == (24, 1, False)
    assert found["largest_difference"] < 1e-5 * max(found["largest_logit"], 1)
    assert found["windows_multiply_adds"] == 24 * 416_520, "the lecture's network, by hand in test_published"
    assert found["saved"] == found["windows_multiply_adds"] / found["pass_multiply_adds"] > 2
    assert found["times"] is None


def test_a_network_that_pads_differs_and_both_ways_are_timed_and_drawn(resnet, photograph, capsys, tmp_path):
    out = tmp_path / "slide.png"
    flags = [f"--workdir={resnet}", str(photograph), "--size=48", "--seconds=1", "--batch=8"]
    said = slid(capsys, *flags, f"--out={out}")
    assert "resnet20: a window of 32 × 32 slid over 48 × 72 pixels, and one pass" in said
    for words in ("55 windows", "time, medians", "time, minima", "resnet20 pads its maps", "equal predictions: "):
        assert words in said
    assert f"{resnet} at step 0; photograph.png" in said and "picture: " in said
    with Image.open(out) as picture:
        assert min(picture.size) > 300
    found = json.loads(slid(capsys, *flags, "--json"))
    assert found["padded"] and found["largest_difference"] > 1e-4
    times = found["times"]
    assert times["ratio_of_medians"] == pytest.approx(times["windows"] / times["pass"])


def test_without_an_image_it_is_a_mosaic_of_test_images(lenet, capsys):
    found = json.loads(slid(capsys, f"--workdir={lenet}", "--size=70", "--seconds=0", "--json"))
    assert (found["image"], found["image_size"], found["windows"]) == ("4 test images", [64, 64], 81)
    workdir = Workdir(lenet)
    config = override(workdir.config(), [])
    mosaic, _ = larger_image([], config, build_model(config, workdir.info()), workdir, 70)
    source = fashion_mnist.load("test")
    for place, index in enumerate((0, 3333, 6666, 9999)):
        top, left = place // 2 * 32, place % 2 * 32
        np.testing.assert_array_equal(mosaic[top : top + 32, left : left + 32], source[index]["image"])


def test_a_mosaic_is_of_the_centres_that_the_network_sees(tmp_path):
    fields = ["--config.network.name=resnet20", "--config.network.image_size=24"]
    config = override(load_experiment(str(ROOT / EXPERIMENT.partition("=")[2])), fields)
    with config.unlocked():
        config.augmentation = (("random_crop", {"size": 24}),)
    model = build_model(config, fashion_mnist.load("test").info)
    mosaic, _ = larger_image([], config, model, Workdir(tmp_path), 24)
    assert mosaic.shape == (24, 24, 1)
    np.testing.assert_array_equal(mosaic, fashion_mnist.load("test")[0]["image"][4:28, 4:28])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["launch.py", "slide", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size=20"], "--size is 20 pixels, and the window of lenet5 is 32 x 32: give 32 or more"),
        (["--seconds=-1"], "--seconds is -1: give 0 to measure nothing"),
        (["--batch=0"], "--batch is 0: give at least one window"),
        (["--out=slide.jpg"], "--out is 'slide.jpg', and pictures are PNG files"),
        (["--checkpoint=7"], "has no checkpoint of step 7"),
        (["missing.png"], "missing.png is not there"),
        (["--config.network.name=vgg11"], "--config.network.name is what the run in"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(lenet, capsys, arguments, sentence):
    assert sentence in refused(capsys, f"--workdir={lenet}", *arguments)


def test_several_images_are_refused(lenet, photograph, capsys):
    said = refused(capsys, f"--workdir={lenet}", str(photograph), str(photograph))
    assert "a window is slid over one image, and 2 were given: name one file" in said


def test_runs_of_another_task_or_without_checkpoints_are_refused(lenet, tmp_path, capsys):
    for name in ("config.json", "data.json"):
        shutil.copy(lenet / name, tmp_path / name)
    assert "has no checkpoints yet: train first" in refused(capsys, f"--workdir={tmp_path}")
    config = override(load_experiment(str(ROOT / "experiments" / "segmentation_scenes.py")), [])
    (tmp_path / "config.json").write_text(to_json(config))
    info = data.describe(config.data.name, **options_of(config, "data"))
    (tmp_path / "data.json").write_text(json.dumps(asdict(info)))
    sentence = f"the run in {tmp_path} learned segmentation, which gives no class scores of a whole image"
    assert sentence in refused(capsys, f"--workdir={tmp_path}")


def test_a_network_that_is_tied_to_a_size_is_refused(tmp_path, capsys):
    folder = begun(tmp_path, "--config.network.name=lenet5_bn", "--config.batch_norm.per=location")
    said = refused(capsys, f"--workdir={folder}", "--seconds=0")
    assert "the network was made for images of 32 x 32 and can't be applied to 128 x 128" in said
    assert "such as batch norm per location" in said
