"""Caches of decoded pictures: made once and whole, for the same files and sizes; and what they hold."""

import os
import pickle
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from convnets.data import image_cache
from convnets.data.cached_records import CachedRecords, DamagedCache
from convnets.data.decoding import Picture, UnreadableImage
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.records import Record
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue
from tests.data.examples import (
    Changed,
    FewRecords,
    broken,
    caches,
    encoded,
    files,
    four_records,
    kept,
    noise,
    photograph,
    records_of,
)


def test_evaluation_at_the_size_of_the_cache_is_that_without_it(tmp_path):
    some = four_records()
    plain = serve(some, PictureOptions(size=20, evaluation_size=40), "test")
    through = serve(some, PictureOptions(size=20, evaluation_size=40, cache_size=40, cache=str(tmp_path)), "test")
    assert isinstance(through.records, CachedRecords)
    for index in (0, 1, 3):
        difference = np.abs(plain[index]["image"].astype(int) - through[index]["image"])
        assert difference.max() <= 1


def test_it_is_made_once_also_by_several_at_once_and_then_nothing_is_decoded(tmp_path, monkeypatch):
    made = []
    write = image_cache.write
    monkeypatch.setattr(image_cache, "write", lambda *arguments: made.append(1) or write(*arguments))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: kept(four_records(), tmp_path), range(3)))
    assert len(made) == len(caches(tmp_path)) == 1
    monkeypatch.setattr(Picture, "pixels", lambda *_: pytest.fail("decoded again"))
    for cache in (*found, kept(four_records(), tmp_path)):
        np.testing.assert_array_equal(cache[1].image, found[0][1].image)


def test_work_that_is_broken_off_leaves_nothing_behind(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(Changed(four_records(), 2, interrupt), tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    assert len(kept(four_records(), tmp_path)) == 4


def test_too_little_room_is_refused_before_anything_is_decoded_for_good(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10_000))
    with pytest.raises(
        InvalidValue, match=r"cache of 4 pictures needs about 0\.0 GB, and .* GB free: name .* no smaller than"
    ):
        kept(four_records(), tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_disk_that_fills_up_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_cache, "write", full)
    with pytest.raises(InvalidValue, match=r"can't be made \(the disk is full\): name another folder with data\.cache"):
        kept(four_records(), tmp_path)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match=r"the cache of pictures in .* can't be made"):
        kept(four_records(), tmp_path / "file" / "cache")


def test_files_of_the_data_set_that_are_missing_are_said_to_be(tmp_path):
    def lost():
        raise DataNotFound("shard 3 is not there")

    with pytest.raises(DataNotFound, match=r"^shard 3 is not there$"):
        kept(Changed(four_records(), 2, lost), tmp_path)


def test_more_unreadable_pictures_than_the_limit_are_refused_at_once(tmp_path):
    some = files(tmp_path / "photos")
    for name in ("1.png", "2.png"):
        (tmp_path / "photos" / name).write_bytes(b"no picture")
    sentence = (
        rf"^2 of the 3 pictures of 'few' can't be decoded \(first: {tmp_path}/photos/1\.png can't be read .*\), and "
        "data.unreadable is 1: replace or remove them, or raise it to 2$"
    )
    serving = PictureOptions(size=8, evaluation_size=8, cache_size=8, cache=str(tmp_path / "cache"), unreadable=1)
    for _ in ("made", "found"):
        with pytest.raises(InvalidValue, match=sentence):
            serve(some, serving, "train")
    assert len(serve(some, replace(serving, unreadable=2), "train")) == 3


def test_what_killed_processes_left_is_removed(tmp_path):
    folder = kept(four_records(), tmp_path).folder
    shutil.rmtree(folder)
    left, strange = tmp_path / f".{folder.name}.host.17", tmp_path / ".other-0123.host.17"
    for path in (left, strange):
        path.mkdir()
        (path / "pixels").write_bytes(b"many")
    kept(four_records(), tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([strange, folder, tmp_path / f".{folder.name}.lock"])


def test_a_whole_cache_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    kept(four_records(), tmp_path)
    monkeypatch.setattr(image_cache.fcntl, "flock", lambda *_: pytest.fail("locked"))
    assert len(kept(four_records(), tmp_path)) == 4


def test_evaluation_resizes_once(tmp_path):
    some = four_records()
    plain = PictureOptions(size=20, evaluation_size=24)
    through = replace(plain, cache_size=40, cache=str(tmp_path))
    for i in range(4):
        expected = serve(some, plain, "test")[i]["image"]
        np.testing.assert_array_equal(serve(some, through, "test")[i]["image"], expected)
    assert not list(tmp_path.iterdir())
    assert isinstance(serve(some, through, "train").records, CachedRecords)


@pytest.mark.parametrize("change", [{"state": {"state": 2}}, {"short_side": 30}, {"channels": 1}])
def test_other_pictures_or_another_size_make_another_cache(tmp_path, change):
    kept(four_records(), tmp_path)
    options = {name: value for name, value in change.items() if name != "state"}
    kept(four_records(state=change.get("state")), tmp_path, **options)
    assert len(caches(tmp_path)) == 2


def test_files_that_were_replaced_repaired_or_touched_are_decoded_anew_and_others_once(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache, "AT_ONCE", 2)
    photos, root = tmp_path / "photos", tmp_path / "cache"
    some = files(photos)
    (photos / "2.png").write_bytes(b"no picture")
    assert len(kept(some, root, unreadable=1).errors) == 1
    Image.new("RGB", (40, 30), (9, 9, 9)).save(photos / "2.png")
    assert kept(some, root)[2].image.max() == 9
    (photos / "1.png").write_bytes((photos / "2.png").read_bytes())
    assert kept(some, root)[1].image.max() == 9
    os.utime(photos / "0.png", ns=(0, 10**18))
    folder = kept(some, root).folder
    assert kept(FewRecords(records_of(photos)), root).folder == folder and len(caches(root)) == 4
    mask = tmp_path / "mask.png"
    masked = FewRecords([Record(noise(30, 30), "noise", mask=mask)], fields=("mask",))
    for level in (1, 2):
        Image.new("L", (30, 30), level).save(mask)
        os.utime(mask, ns=(0, level))
        assert kept(masked, root)[0].mask.max() == level


def test_masks_are_kept_as_classes_and_another_label_map_makes_another_cache(tmp_path):
    levels = np.repeat([[1, 2, 3]], 3, axis=0).astype(np.uint8).repeat(10, 0).repeat(10, 1)
    some = FewRecords([Record(noise(30, 30), "noise", mask=levels)], fields=("mask",))
    options = {"size": 8, "evaluation_size": 30, "cache_size": 30, "cache": str(tmp_path)}
    label_maps = [
        {},
        {"mask_classes": ("a", "b"), "mask_values": (1, 2), "mask_ignored": (3,)},
        {"mask_classes": ("a", "b"), "mask_values": (2, 1), "mask_ignored": (3,)},
        {"mask_classes": ("a", "b"), "mask_values": (3, 2), "mask_ignored": (1,)},
        {"mask_classes": ("x", "y"), "mask_values": (3, 2), "mask_ignored": (1,)},
    ]
    expected = [[1, 2, 3], [0, 1, 255], [1, 0, 255], [255, 1, 0], [255, 1, 0]]
    for _ in range(2):
        for label_map, row in zip(label_maps, expected, strict=True):
            source = serve(some, PictureOptions(**options, **label_map), "test")
            assert isinstance(source.records, CachedRecords)
            assert source[0]["mask"][::10, ::10].tolist() == [row] * 3
            assert source.info.mask_classes == label_map.get("mask_classes", ())
    assert len(caches(tmp_path)) == 4


def test_boxes_and_masks_are_kept_at_the_pictures_size(tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[:30] = 7
    boxes = np.array([[0, 0, 30, 80], [30, 40, 60, 80]], np.float32)
    some = [
        Record(noise(60, 80), "one", 0, boxes, np.array([3, 1], np.int32), encoded(Image.fromarray(mask), "PNG")),
        Record(
            noise(30, 30), "two", 0, boxes[:0], np.zeros(0, np.int32), encoded(Image.fromarray(mask[:30, :30]), "PNG")
        ),
        Record(noise(120, 120), "three", 1, boxes[:1], np.array([2], np.int32), np.full((120, 120), 9, np.uint8)),
    ]
    cache = kept(FewRecords(some, fields=("label", "boxes", "mask")), tmp_path, short_side=30)
    np.testing.assert_allclose(cache[0].boxes, boxes / 2)
    assert [cache[i].box_labels.tolist() for i in range(3)] == [[3, 1], [], [2]]
    np.testing.assert_allclose(cache[2].boxes, boxes[:1] / 4)
    assert [cache[i].mask.shape for i in range(3)] == [(30, 40), (30, 30), (30, 30)]
    np.testing.assert_array_equal(cache[0].mask, np.repeat([[7], [0]], 15, axis=0) * np.ones((1, 40), int))
    np.testing.assert_array_equal(cache[1].image, some[1].image)


def test_a_picture_that_cannot_be_decoded_is_refused_when_it_is_read(tmp_path):
    def refuse():
        raise UnreadableImage("picture 0 can't be decoded")

    some = four_records()
    some.records[1] = broken(some.records[1])
    cache = kept(Changed(some, 0, refuse), tmp_path, unreadable=2)
    assert cache.errors.keys() == {0, 1} and cache.errors[0] == "picture 0 can't be decoded"
    with pytest.raises(UnreadableImage, match=r"^picture 1 can't be read as an image"):
        cache[1]
    np.testing.assert_array_equal(cache[2].image, np.asarray(photograph(30, 24)))
    assert [cache[i].label for i in (2, 3)] == [2, 3]
    options = PictureOptions(size=8, evaluation_size=8, unreadable=1, cache_size=40, cache=str(tmp_path / "own"))
    assert serve(some, options, "train").batch(np.arange(4))["weight"].tolist() == [1, 0, 1, 1]


def test_classes_and_sizes_are_those_of_now(tmp_path):
    kept(four_records(), tmp_path)
    other = four_records()
    other.info = replace(other.info, classes=("e", "f", "g", "h"), splits={"train": 4, "test": 9})
    cache = kept(other, tmp_path)
    assert cache.info == other.info and len(caches(tmp_path)) == 1


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "pixels").unlink(),
        lambda folder: truncate(folder / "pixels"),
        lambda folder: (folder / "index.npz").unlink(),
        lambda folder: truncate(folder / "index.npz"),
        lambda folder: (folder / "index.npz").write_bytes(b""),
        lambda folder: (folder / "index.npz").write_bytes(b"no archive"),
        lambda folder: np.savez(folder / "index.npz", ends=[3]),
    ],
)
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    cache = kept(four_records(), tmp_path)
    expected = [cache[i].image.copy() for i in range(4)]
    damage(cache.folder)
    with pytest.raises(DamagedCache, match=r"the cache of pictures .* is damaged .*: start anew, which makes"):
        pickle.loads(pickle.dumps(cache))
    again = kept(four_records(), tmp_path)
    assert again.folder == cache.folder
    for i in range(4):
        np.testing.assert_array_equal(again[i].image, expected[i])


def test_larger_pictures_are_kept_shrunk_as_pillow_does_and_smaller_ones_as_they_are(tmp_path):
    cache = kept(four_records(), tmp_path)
    shapes = [record.image.shape for record in (cache[i] for i in range(len(cache)))]
    assert shapes == [(40, 53, 3), (53, 40, 3), (24, 30, 3), (40, 40, 3)]
    expected = photograph(80, 60).resize((53, 40), Image.Resampling.BILINEAR)
    assert np.abs(cache[0].image.astype(int) - np.asarray(expected)).max() <= 1
    np.testing.assert_array_equal(cache[2].image, np.asarray(photograph(30, 24)))
    assert [cache[i].label for i in range(4)] == [0, 1, 2, 3]
    assert cache.info == four_records().info
