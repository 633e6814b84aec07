"""What has a cache of its own: other pictures, other content of the same files, another size."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from convnets import data
from convnets.data import image_cache
from convnets.data.cached_records import CachedRecords
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.records import Record
from tests.data import fake_tfds
from tests.data.few_records import FewRecords
from tests.data.photograph import noise
from tests.data.small_caches import caches, files, kept, records, records_of


@pytest.mark.parametrize("change", [{"state": {"state": 2}}, {"short_side": 30}, {"channels": 1}])
def test_other_pictures_or_another_size_make_another_cache(tmp_path, change):
    kept(records(), tmp_path)
    options = {name: value for name, value in change.items() if name != "state"}
    kept(records(state=change.get("state")), tmp_path, **options)
    assert len(caches(tmp_path)) == 2


def test_files_that_were_replaced_or_repaired_are_decoded_anew(tmp_path):
    some = files(tmp_path / "photos")
    (tmp_path / "photos" / "2.png").write_bytes(b"no picture")
    assert len(kept(some, tmp_path / "cache", unreadable=1).errors) == 1
    Image.new("RGB", (40, 30), (9, 9, 9)).save(tmp_path / "photos" / "2.png")
    assert kept(some, tmp_path / "cache")[2].image.max() == 9
    (tmp_path / "photos" / "1.png").write_bytes((tmp_path / "photos" / "2.png").read_bytes())
    assert kept(some, tmp_path / "cache")[1].image.max() == 9
    assert len(caches(tmp_path / "cache")) == 3


def test_files_that_did_not_change_are_decoded_once(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache, "AT_ONCE", 2)
    folders = [kept(files(tmp_path / "photos"), tmp_path / "cache").folder]
    for i in range(3):
        os.utime(tmp_path / "photos" / f"{i}.png", ns=(0, 10**18 + i))
        folders.append(kept(FewRecords(records_of(tmp_path / "photos")), tmp_path / "cache").folder)
        assert kept(FewRecords(records_of(tmp_path / "photos")), tmp_path / "cache").folder == folders[-1]
    assert len(set(folders)) == 4


def test_masks_in_files_that_were_replaced_are_decoded_anew(tmp_path):
    path = tmp_path / "mask.png"
    some = FewRecords([Record(noise(30, 30), "noise", mask=path)], fields=("mask",))
    for level in (1, 2):
        Image.new("L", (30, 30), level).save(path)
        os.utime(path, ns=(0, level))
        assert kept(some, tmp_path / "cache")[0].mask.max() == level


def test_masks_are_kept_as_classes_and_another_legend_makes_another_cache(tmp_path):
    levels = np.repeat([[1, 2, 3]], 3, axis=0).astype(np.uint8).repeat(10, 0).repeat(10, 1)
    some = FewRecords([Record(noise(30, 30), "noise", mask=levels)], fields=("mask",))
    options = {"size": 8, "evaluation_size": 30, "cache_size": 30, "cache": str(tmp_path)}
    legends = [
        {},
        {"mask_classes": ("a", "b"), "mask_values": (1, 2), "mask_ignored": (3,)},
        {"mask_classes": ("a", "b"), "mask_values": (2, 1), "mask_ignored": (3,)},
        {"mask_classes": ("a", "b"), "mask_values": (3, 2), "mask_ignored": (1,)},
        {"mask_classes": ("x", "y"), "mask_values": (3, 2), "mask_ignored": (1,)},
    ]
    expected = [[1, 2, 3], [0, 1, 255], [1, 0, 255], [255, 1, 0], [255, 1, 0]]
    for _ in range(2):
        for label_map, row in zip(legends, expected, strict=True):
            source = serve(some, PictureOptions(**options, **label_map), "test")
            assert isinstance(source.records, CachedRecords)
            assert source[0]["mask"][::10, ::10].tolist() == [row] * 3
            assert source.info.mask_classes == label_map.get("mask_classes", ())
    assert len(caches(tmp_path)) == 4


def test_a_set_of_tfds_that_was_prepared_again_or_elsewhere_has_a_cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    options = {"size": 8, "evaluation_size": 8, "cache_size": 8, "cache": str(tmp_path / "cache")}

    def made():
        return [
            data.create("tfds", "train", data_dir=str(tmp_path / folder), **options).records.folder
            for folder in ("one", "other")
        ]

    for folder in ("one", "other"):
        fake_tfds.write_imagenet(tmp_path / folder)
    first = made()
    assert first == made()
    shutil.rmtree(tmp_path / "one")
    fake_tfds.write_imagenet(tmp_path / "one")
    again = made()
    assert len({*first, *again}) == 3 and again[1] == first[1]
