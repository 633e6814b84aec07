"""Caches of decoded pictures: made once and whole, for the same files and sizes; and what they hold."""

import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnets import data
from convnets.data import cached_records, image_cache
from convnets.data.cached_records import CachedRecords, DamagedCache
from convnets.data.decoding import Picture, UnreadableImage
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.records import Record
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue
from convnets.progress import Bar
from tests.data import fake_tfds
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


def test_it_is_made_once_and_then_nothing_is_decoded(tmp_path, monkeypatch):
    first = kept(four_records(), tmp_path)

    def refuse(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(image_cache, "_shrunk", refuse)
    monkeypatch.setattr(Picture, "pixels", refuse)
    second = kept(four_records(), tmp_path)
    np.testing.assert_array_equal(first[1].image, second[1].image)


def test_work_that_is_broken_off_leaves_nothing_behind(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(Changed(four_records(), 2, interrupt), tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    assert len(kept(four_records(), tmp_path)) == 4


def test_two_at_once_make_one(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(kept(four_records(), tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(caches(tmp_path)) == 1


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

    monkeypatch.setattr(cached_records, "_append", full)
    with pytest.raises(InvalidValue, match=r"can't be made \(the disk is full\): name another folder with data\.cache"):
        kept(four_records(), tmp_path)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match=r"the cache of pictures in .* can't be made"):
        kept(four_records(), tmp_path / "file" / "cache")


def test_how_far_the_work_has_come_is_told(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Bar, "__enter__", lambda self: told.append((self.title, self.total)) or self)
    monkeypatch.setattr(Bar, "update", lambda self, done: told.append(done))
    kept(four_records(), tmp_path)
    assert told == [("decoding few", 4), 1, 2, 3, 4]


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

    def refuse(_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(image_cache, "_locked", refuse)
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


BUILDER = """
import sys, threading, time
from pathlib import Path
from convnets.data.image_cache import cached
from tests.data.examples import FewRecords
from tests.data.examples import four_records

fetched = []

class Slow(FewRecords):
    def __getitem__(self, i):
        fetched.append(i)
        time.sleep(0.1)
        return self.records[i]

some = four_records()
some.__class__ = Slow
print("ready", flush=True)
sys.stdin.readline()
cache = cached(some, sys.argv[1], short_side=40, channels=3, unreadable=0)
print(len(fetched), cache.folder.name, cache[3].image.sum())
"""


def test_two_processes_at_once_make_one(tmp_path):
    command = [sys.executable, "-c", BUILDER, str(tmp_path)]
    root = Path(__file__).parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": root}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as other:
        for process in (one, other):
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0].split() for process in (one, other)]
    # The one that waited fetched a record to see whether they are files, and no more.
    assert sorted(int(fetched) for fetched, *_ in said)[0] == 1 < max(int(fetched) for fetched, *_ in said)
    assert said[0][1:] == said[1][1:]
    assert caches(tmp_path) == [tmp_path / said[0][1]]


@pytest.mark.parametrize("change", [{"state": {"state": 2}}, {"short_side": 30}, {"channels": 1}])
def test_other_pictures_or_another_size_make_another_cache(tmp_path, change):
    kept(four_records(), tmp_path)
    options = {name: value for name, value in change.items() if name != "state"}
    kept(four_records(state=change.get("state")), tmp_path, **options)
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
    some = four_records()
    some.records[1] = broken(some.records[1])
    cache = kept(some, tmp_path, unreadable=1)
    with pytest.raises(UnreadableImage, match=r"^picture 1 can't be read as an image"):
        cache[1]
    np.testing.assert_array_equal(cache[2].image, np.asarray(photograph(30, 24)))
    batch = serve(
        some, PictureOptions(size=8, evaluation_size=8, unreadable=1, cache_size=40, cache=str(tmp_path)), "train"
    )
    assert batch.batch(np.arange(4))["weight"].tolist() == [1, 0, 1, 1]


def test_it_can_be_sent_to_another_process(tmp_path):
    cache = kept(four_records(), tmp_path)
    sent = pickle.loads(pickle.dumps(cache))
    np.testing.assert_array_equal(sent[3].image, cache[3].image)
    assert sent.info == cache.info


def test_classes_and_sizes_are_those_of_now(tmp_path):
    kept(four_records(), tmp_path)
    other = four_records()
    other.info = replace(other.info, classes=("e", "f", "g", "h"), splits={"train": 4, "test": 9})
    cache = kept(other, tmp_path)
    assert cache.info == other.info and len(caches(tmp_path)) == 1


def test_a_split_without_records_has_an_empty_cache(tmp_path):
    assert len(kept(FewRecords([]), tmp_path)) == 0
    assert os.listdir(tmp_path)


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


def test_a_mask_of_another_size_than_its_picture_makes_the_picture_unreadable(tmp_path):
    some = FewRecords([Record(noise(32, 32), "p.jpg", mask=np.zeros((32, 30), np.uint8))], fields=("mask",))
    with pytest.raises(UnreadableImage, match=r"the mask of p\.jpg has 32 x 30 pixels, and the picture 32 x 32"):
        kept(some, tmp_path, unreadable=1)[0]


def test_a_record_that_cannot_be_given_is_one_of_the_unreadable(tmp_path):
    def refuse():
        raise UnreadableImage("picture 0 can't be decoded")

    cache = kept(Changed(four_records(), 0, refuse), tmp_path, unreadable=1)
    assert cache.errors == {0: "picture 0 can't be decoded"}
    assert [cache[i].label for i in (1, 2, 3)] == [1, 2, 3]


def test_larger_pictures_are_kept_shrunk_as_pillow_does_and_smaller_ones_as_they_are(tmp_path):
    cache = kept(four_records(), tmp_path)
    shapes = [record.image.shape for record in (cache[i] for i in range(len(cache)))]
    assert shapes == [(40, 53, 3), (53, 40, 3), (24, 30, 3), (40, 40, 3)]
    expected = photograph(80, 60).resize((53, 40), Image.Resampling.BILINEAR)
    assert np.abs(cache[0].image.astype(int) - np.asarray(expected)).max() <= 1
    np.testing.assert_array_equal(cache[2].image, np.asarray(photograph(30, 24)))
    assert [cache[i].label for i in range(4)] == [0, 1, 2, 3]
    assert cache.info == four_records().info
