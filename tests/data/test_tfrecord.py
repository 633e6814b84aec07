"""TFRecord files by index."""

import gzip
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fake_tfds import crc32c, masked, write_tfrecord

from convnets.data import tfrecord
from convnets.data.source import DataNotFound
from convnets.data.tfrecord import Shard, TfRecords, find_records, masked_crc32c
from convnets.errors import InvalidValue

# What tf.io.TFRecordWriter of TensorFlow 2.21 wrote for b"lenet", b"" and b"alexnet".
BY_TENSORFLOW = bytes.fromhex(
    "0500000000000000eab2043e6c656e65744c4f5763000000000000000029039807d8ea82a2"
    "0700000000000000bbd79f11616c65786e65742fe8c0d9"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A user's cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convnets" / "tfrecord"


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Records a0 to a3 in one file, b0 and b1 in another, each as often repeated as its number."""
    paths = [tmp_path / "a.tfrecord", tmp_path / "b.tfrecord"]
    write_tfrecord(paths[0], [f"a{i}".encode() * i for i in range(4)])
    write_tfrecord(paths[1], [f"b{i}".encode() * i for i in range(2)])
    return paths


def whole(files: list[Path]) -> list[Shard]:
    return [Shard(files[0], 0, 4, 4), Shard(files[1], 0, 2, 2)]


def test_a_file_of_tensorflows_own_is_read(tmp_path):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(BY_TENSORFLOW)
    assert list(TfRecords([Shard(path, 0, 3, 3)])) == [b"lenet", b"", b"alexnet"]
    assert find_records(str(path)).tolist() == [0, 16 + 5, 2 * 16 + 5, 3 * 16 + 12]


def test_the_checksum_is_that_of_rfc_3720_masked():
    # Appendix B.4: 32 bytes of zeros, of ones, and ascending; the mask is TFRecord's.
    for data, checksum in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)):
        assert crc32c(data) == checksum
        assert masked_crc32c(data) == masked(checksum)


def test_records_of_several_files_follow_one_another(files):
    records = TfRecords(whole(files))
    assert len(records) == 6
    assert list(records) == [b"", b"a1", b"a2a2", b"a3a3a3", b"", b"b1"]


def test_the_wanted_part_of_each_file_is_taken(files):
    records = TfRecords([Shard(files[1], 1, 1, 2), Shard(files[0], 2, 1, 4), Shard(files[0], 0, 0, 4)])
    assert list(records) == [b"b1", b"a2a2"]


@pytest.mark.parametrize("index", [-1, 6, 100])
def test_a_place_outside_is_refused(files, index):
    with pytest.raises(IndexError, match=f"index {index} is outside the 6 records"):
        TfRecords(whole(files))[index]


def test_threads_and_other_processes_read_the_same(files):
    records = TfRecords(whole(files))
    order = np.random.default_rng(0).integers(0, 6, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(records.__getitem__, order)) == [list(records)[i] for i in order]
    assert list(pickle.loads(pickle.dumps(records))) == list(records)


def test_the_places_are_looked_for_once_and_told_of(files, cache, monkeypatch):
    told = []
    first = list(TfRecords(whole(files), progress=lambda done, total: told.append((done, total))))
    assert told == [(1, 2), (2, 2)] and len(list(cache.iterdir())) == 1
    monkeypatch.setattr(tfrecord, "find_records", lambda path: pytest.fail("looked for again"))
    assert list(TfRecords(whole(files), progress=lambda done, total: pytest.fail("told of nothing"))) == first


def test_the_places_of_a_changed_file_are_looked_for_again(files):
    TfRecords(whole(files))
    write_tfrecord(files[1], [b"longer", b"x"])
    assert list(TfRecords(whole(files)))[4:] == [b"longer", b"x"]
    state = os.stat(files[1])
    write_tfrecord(files[1], [b"x", b"longer"])
    os.utime(files[1], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert list(TfRecords(whole(files)))[4:] == [b"x", b"longer"]


def test_a_damaged_cache_or_none_costs_only_time(files, cache, monkeypatch, tmp_path):
    TfRecords(whole(files))
    (kept,) = cache.iterdir()
    for content in (b"", b"nonsense", kept.read_bytes()[:-40]):
        kept.write_bytes(content)
        assert len(TfRecords(whole(files))) == 6
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(TfRecords(whole(files))) == 6


def damage(path: Path, content: bytes) -> list[Shard]:
    path.write_bytes(content)
    return [Shard(path, 0, 4, 4)]


def test_files_that_are_damaged_or_foreign_are_refused_by_their_path(files):
    good = files[0].read_bytes()
    for content, said in (
        (good[:-1], "is truncated within record 4"),
        (good[:20], "is truncated within record 2"),
        (good[:5], "is truncated within record 1"),
        (b"hello, this is a text", "no TFRecord file or is damaged at byte 0"),
        (good[:16] + b"\x09" + good[17:], "damaged at byte 16"),
        (gzip.compress(good), "is compressed"),
        (b"", "must have 4 records and has 0"),
        (good + good[:16], "must have 4 records and has 5"),
    ):
        with pytest.raises(InvalidValue, match=said) as error:
            TfRecords(damage(files[0], content))
        assert str(files[0]) in str(error.value) and ". " not in str(error.value)


def test_a_missing_file_is_named(files):
    files[1].unlink()
    with pytest.raises(DataNotFound, match=r"b\.tfrecord is not there"):
        TfRecords(whole(files))


def test_a_file_that_shrinks_or_goes_while_it_is_read_is_refused(files):
    records = TfRecords(whole(files))
    files[0].write_bytes(files[0].read_bytes()[:-6])
    with pytest.raises(InvalidValue, match="has become shorter"):
        records[3]
    files[0].unlink()
    with pytest.raises(DataNotFound, match="is not there"):
        records[1]
