"""Masks that don't fit their pictures are found before anything is decoded."""

import numpy as np
import pytest
from PIL import Image

from convnets import data
from convnets.data.source import Splits
from convnets.data.views import train_validation_split
from convnets.errors import InvalidValue
from convnets.training.setup import check_masks
from tests.data.mask_files import write
from tests.data.photograph import noise

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four images a split with masks that fit, one of them turned by its EXIF orientation."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    top = tmp_path / "streets"
    turned = Image.Exif()
    turned[0x0112] = 6
    for split in ("train", "val"):
        for name in NAMES:
            write(top / split / "images" / f"{name}.jpg", noise(30, 40))
            write(top / split / "masks" / f"{name}.png", np.zeros((40, 30) if name == "a" else (30, 40), np.uint8))
        Image.fromarray(noise(30, 40)).save(top / split / "images" / "a.jpg", exif=turned)
    return top


def opened(folder, split="train", **options):
    options = {"size": 16, "mask_classes": ("ground", "road")} | options
    return data.create("segmentation_folder", split, data_dir=str(folder), **options)


def spoil(folder, split, name):
    return write(folder / split / "masks" / f"{name}.png", np.zeros((20, 40), np.uint8))


def test_masks_that_fit_are_found_to_from_headers_alone(folder, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    opened(folder).check_masks()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_mask_of_another_size_is_named_with_both_sizes_in_whatever_split_it_is(folder, split):
    mask = spoil(folder, split, "c")
    train, validation = train_validation_split(opened(folder), 1, 0)
    with pytest.raises(InvalidValue) as refused:
        check_masks(Splits(train, validation, opened(folder, "test")))
    sentence = f"the mask {mask} has 20 x 40 pixels, and the picture 30 x 40, and none is to be passed over: replace it"
    assert str(refused.value).startswith(sentence)


def test_as_many_may_be_passed_over_as_pictures_that_are_unreadable(folder):
    for name in ("b", "d"):
        spoil(folder, "train", name)
    source = opened(folder, unreadable=2)
    source.check_masks()
    assert source.unreadable.places == {1, 3}
    with pytest.raises(InvalidValue, match=r"d\.png has 20 x 40 .* and 1 were passed over before it"):
        opened(folder, unreadable=1).check_masks()


def test_only_the_examples_of_a_view_count(folder):
    spoil(folder, "train", "b")
    for part in train_validation_split(opened(folder), 2, 0):
        if 1 in part.indices:
            with pytest.raises(InvalidValue, match=r"b\.png has 20 x 40"):
                part.check_masks()
        else:
            part.check_masks()


def test_files_that_are_no_pictures_are_left_to_who_decodes_them(folder):
    (folder / "train/masks/b.png").write_bytes(b"no picture")
    opened(folder).check_masks()
