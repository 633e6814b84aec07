"""What bad data gets: one sentence before anything is compiled, and no workdir."""

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from launching import ROOT
from PIL import Image
from test_bad_input import refused

from convnets.data import image_cache
from tests.data.fake_tfds import write_imagenet

RUN = ("train", "--config=experiments/imagenette_resnet.py", "--config.validation.examples=0")
FOLDER = (*RUN, "--config.data.name=image_folder")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two classes with two images each, in two splits."""
    folder = tmp_path / "photos"
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            (folder / split / label).mkdir(parents=True)
            for number in range(2):
                pixels = np.full((50, 60, 3), 40 * number, np.uint8)
                Image.fromarray(pixels).save(folder / split / label / f"{number}.jpg")
    return folder


def lose(folder: Path) -> None:
    shutil.rmtree(folder)


def empty_a_class(folder: Path) -> None:
    for file in (folder / "train" / "cat").iterdir():
        file.unlink()


def lose_a_split(folder: Path) -> None:
    shutil.rmtree(folder / "val")


def rename_a_class(folder: Path) -> None:
    (folder / "val" / "dog").rename(folder / "val" / "wolf")


def truncate_an_image(folder: Path) -> None:
    (folder / "train" / "cat" / "0.jpg").write_bytes(b"")
    (folder / "train" / "cat" / "1.jpg").write_bytes(b"\xff\xd8\xff")


def put_a_label_outside(folder: Path) -> None:
    (folder / "train.csv").write_text("path,label\ntrain/cat/0.jpg,cat\ntrain/dog/0.jpg,dog\n")
    (folder / "val.csv").write_text("path,label\nval/cat/0.jpg,cat\nval/dog/0.jpg,wolf\n")


LISTS = ("--config.data.train=train.csv", "--config.data.test=val.csv")


@pytest.mark.parametrize(
    ("damage", "options", "sentence"),
    [
        (lose, (), "photos is not there: name the folder that has the images with --data_dir"),
        (empty_a_class, (), "the class folder 'cat' in"),
        (lose_a_split, (), "photos has no val, validation or test"),
        (rename_a_class, (), "lacks 'dog' and has also 'wolf'"),
        (put_a_label_outside, LISTS, "'wolf'"),
        (None, ("--config.data.test=tests",), "photos/tests is not there: name the folder or list of the test split"),
        (None, ("--config.data.crop=corner",), "the option 'crop' of the data set 'image_folder' is 'scaled' or"),
        (None, ("--config.data.size=0",), "data.size is 0, and must be 1 or more"),
        (None, ("--config.validation.examples=4",), "validation.examples is 4, and must lie in [0, 4)"),
        (truncate_an_image, ("--config.validation.examples=0",), "0.jpg can't be read as an image"),
    ],
)
def test_a_folder_is_refused_before_training(capsys, photos, tmp_path, damage, options, sentence):
    if damage is not None:
        damage(photos)
    said = refused(capsys, *FOLDER, f"--data_dir={photos}", f"--workdir={tmp_path / 'run'}", *options)
    assert sentence in said
    assert not (tmp_path / "run").exists()


def test_a_cache_without_room_is_refused_before_training(capsys, photos, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    options = ("--config.data.cache_size=146", f"--config.data.cache={tmp_path / 'cache'}")
    said = refused(capsys, *FOLDER, f"--data_dir={photos}", f"--workdir={tmp_path / 'run'}", *options)
    assert "the cache of 4 pictures needs about" in said and "name another folder with data.cache" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--config.data.dataset=imagenet2013",), "TFDS has no data set 'imagenet2013': did you mean 'imagenet2012"),
        (("--config.data.dataset=cifar100",), "cifar100 is not prepared in"),
        (("--config.data.train=training",), "imagenet2012 has the splits train (7)"),
        (("--config.data.train=train[",), "and 'train[' is no part of them"),
    ],
)
def test_a_data_set_of_tfds_is_refused_before_training(capsys, tmp_path, options, sentence):
    write_imagenet(tmp_path / "data")
    given = ("--config.data.dataset=imagenet2012", f"--data_dir={tmp_path / 'data'}", f"--workdir={tmp_path / 'run'}")
    assert sentence in refused(capsys, *RUN, *given, *options)
    assert not (tmp_path / "run").exists()
