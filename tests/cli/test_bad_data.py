"""What bad data gets: one sentence before anything is compiled, and no workdir. tests/data has what is refused."""

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from launching import ROOT

from convnets.data import image_cache
from tests.data.examples import write
from tests.data.fake_tfds import write_imagenet

RUN = ("train", "--config=experiments/imagenette_resnet.py", "--config.validation.examples=0")
FOLDER = (*RUN, "--config.data.name=image_folder")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two classes with two images each, in two splits."""
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        for number in range(2):
            write(tmp_path / "photos" / name / f"{number}.jpg", np.full((50, 60, 3), 40 * number, np.uint8))
    return tmp_path / "photos"


def rename_a_class(folder: Path) -> None:
    (folder / "val" / "dog").rename(folder / "val" / "wolf")


def truncate_an_image(folder: Path) -> None:
    (folder / "train" / "cat" / "0.jpg").write_bytes(b"")
    (folder / "train" / "cat" / "1.jpg").write_bytes(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("damage", "options", "sentence"),
    [
        (rename_a_class, (), "lacks 'dog' and has also 'wolf'"),
        (truncate_an_image, (), "0.jpg can't be read as an image"),
        (None, ("--config.data.test=tests",), "photos/tests is not there: name the folder or list of the test split"),
        (None, ("--config.data.crop=corner",), "the option 'crop' of the data set 'image_folder' is 'scaled' or"),
        (None, ("--config.validation.examples=4",), "validation.examples is 4, and must lie in [0, 4)"),
        (None, ("--config.data.cache_size=146",), "the cache of 4 pictures needs about"),
    ],
)
def test_a_folder_is_refused_before_training(refused, photos, tmp_path, monkeypatch, damage, options, sentence):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    if damage is not None:
        damage(photos)
    given = (f"--data_dir={photos}", f"--workdir={tmp_path / 'run'}", f"--config.data.cache={tmp_path / 'cache'}")
    assert sentence in refused(*FOLDER, *given, *options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--config.data.dataset=cifar100", "cifar100 is not prepared in"),
        ("--config.data.train=training", "imagenet2012 has the splits train (7)"),
    ],
)
def test_a_data_set_of_tfds_is_refused_before_training(refused, tmp_path, option, sentence):
    write_imagenet(tmp_path / "data")
    given = ("--config.data.dataset=imagenet2012", f"--data_dir={tmp_path / 'data'}", f"--workdir={tmp_path / 'run'}")
    assert sentence in refused(*RUN, *given, option)
    assert not (tmp_path / "run").exists()
