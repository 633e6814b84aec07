"""How a cache of decoded pictures is made: once, whole or not at all, and refused in one sentence."""

import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convnets.data import cached_records, image_cache
from convnets.data.cached_records import CachedRecords
from convnets.data.decoding import Picture
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue
from convnets.progress import Bar
from tests.data.small_caches import Changed, caches, files, kept, records


def test_evaluation_at_the_size_of_the_cache_is_that_without_it(tmp_path):
    some = records()
    plain = serve(some, PictureOptions(size=20, evaluation_size=40), "test")
    through = serve(some, PictureOptions(size=20, evaluation_size=40, cache_size=40, cache=str(tmp_path)), "test")
    assert isinstance(through.records, CachedRecords)
    for index in (0, 1, 3):
        difference = np.abs(plain[index]["image"].astype(int) - through[index]["image"])
        assert difference.max() <= 1


def test_it_is_made_once_and_then_nothing_is_decoded(tmp_path, monkeypatch):
    first = kept(records(), tmp_path)

    def refuse(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(image_cache, "_shrunk", refuse)
    monkeypatch.setattr(Picture, "pixels", refuse)
    second = kept(records(), tmp_path)
    np.testing.assert_array_equal(first[1].image, second[1].image)


def test_work_that_is_broken_off_leaves_nothing_behind(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(Changed(records(), 2, interrupt), tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    assert len(kept(records(), tmp_path)) == 4


def test_two_at_once_make_one(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(kept(records(), tmp_path))) for _ in range(4)]
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
        kept(records(), tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_disk_that_fills_up_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cached_records, "_append", full)
    with pytest.raises(InvalidValue, match=r"can't be made \(the disk is full\): name another folder with data\.cache"):
        kept(records(), tmp_path)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match=r"the cache of pictures in .* can't be made"):
        kept(records(), tmp_path / "file" / "cache")


def test_how_far_the_work_has_come_is_told(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Bar, "__enter__", lambda self: told.append((self.title, self.total)) or self)
    monkeypatch.setattr(Bar, "update", lambda self, done: told.append(done))
    kept(records(), tmp_path)
    assert told == [("decoding few", 4), 1, 2, 3, 4]


def test_files_of_the_data_set_that_are_missing_are_said_to_be(tmp_path):
    def lost():
        raise DataNotFound("shard 3 is not there")

    with pytest.raises(DataNotFound, match=r"^shard 3 is not there$"):
        kept(Changed(records(), 2, lost), tmp_path)


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
    folder = kept(records(), tmp_path).folder
    shutil.rmtree(folder)
    left, strange = tmp_path / f".{folder.name}.host.17", tmp_path / ".other-0123.host.17"
    for path in (left, strange):
        path.mkdir()
        (path / "pixels").write_bytes(b"many")
    kept(records(), tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([strange, folder, tmp_path / f".{folder.name}.lock"])


def test_a_whole_cache_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    kept(records(), tmp_path)

    def refuse(_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(image_cache, "_locked", refuse)
    assert len(kept(records(), tmp_path)) == 4


def test_evaluation_resizes_once(tmp_path):
    some = records()
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
from tests.data.few_records import FewRecords
from tests.data.small_caches import records

fetched = []

class Slow(FewRecords):
    def __getitem__(self, i):
        fetched.append(i)
        time.sleep(0.1)
        return self.records[i]

some = records()
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
