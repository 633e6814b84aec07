"""The cache of decoded pictures: the same examples, made once, whole or not at all."""

import io
import os
import pickle
import threading
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from convnets.data import image_cache
from convnets.data.decoding import Picture, UnreadableImage
from convnets.data.image_cache import cached
from convnets.data.pictures import Serving
from convnets.data.records import Record
from convnets.data.reporting import drawn_by
from convnets.errors import InvalidValue
from tests.data.few_records import FewRecords, broken
from tests.data.photograph import noise, photograph


def encoded(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def records(**options):
    sizes = [(60, 80), (80, 60), (24, 30), (50, 50)]
    some = [Record(encoded(photograph(w, h)), f"picture {i}", i) for i, (h, w) in enumerate(sizes)]
    return FewRecords(some, classes="abcd", **options)


def kept(some, root, short_side=40, channels=3):
    return cached(some, root, short_side=short_side, channels=channels)


def test_larger_pictures_are_kept_shrunk_as_pillow_does_and_smaller_ones_as_they_are(tmp_path):
    cache = kept(records(), tmp_path)
    shapes = [record.image.shape for record in (cache[i] for i in range(len(cache)))]
    assert shapes == [(40, 53, 3), (53, 40, 3), (24, 30, 3), (40, 40, 3)]
    expected = photograph(80, 60).resize((53, 40), Image.Resampling.BILINEAR)
    assert np.abs(cache[0].image.astype(int) - np.asarray(expected)).max() <= 1
    np.testing.assert_array_equal(cache[2].image, np.asarray(photograph(30, 24)))
    assert [cache[i].label for i in range(4)] == [0, 1, 2, 3]
    assert cache.info == replace(records().info, fields=["label"])


def test_evaluation_at_the_size_of_the_cache_is_that_without_it(tmp_path):
    some = records()
    plain = Serving(size=20, evaluation_size=40).serve(some)
    through = Serving(size=20, evaluation_size=40, cache_size=40, cache=str(tmp_path)).serve(some)
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


@pytest.mark.parametrize("change", [{"state": {"state": 2}}, {"short_side": 30}, {"channels": 1}])
def test_other_pictures_or_another_size_make_another_cache(tmp_path, change):
    kept(records(), tmp_path)
    options = {name: value for name, value in change.items() if name != "state"}
    kept(records(state=change.get("state")), tmp_path, **options)
    assert len([path for path in tmp_path.iterdir() if not path.name.startswith(".")]) == 2


def test_boxes_and_masks_are_kept_at_the_pictures_size(tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[:30] = 7
    boxes = np.array([[0, 0, 30, 80], [30, 40, 60, 80]], np.float32)
    some = [
        Record(noise(60, 80), "one", 0, boxes, np.array([3, 1], np.int32), encoded(Image.fromarray(mask))),
        Record(noise(30, 30), "two", 0, boxes[:0], np.zeros(0, np.int32), encoded(Image.fromarray(mask[:30, :30]))),
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
    some = records()
    some.records[1] = broken(some.records[1])
    cache = kept(some, tmp_path)
    with pytest.raises(UnreadableImage, match=r"^picture 1 can't be read as an image"):
        cache[1]
    np.testing.assert_array_equal(cache[2].image, np.asarray(photograph(30, 24)))
    batch = Serving(size=8, evaluation_size=8, unreadable=1, cache_size=40, cache=str(tmp_path)).serve(some)
    assert batch.batch(np.arange(4))["weight"].tolist() == [1, 0, 1, 1]


def test_it_can_be_sent_to_another_process(tmp_path):
    cache = kept(records(), tmp_path)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cache))[3].image, cache[3].image)


def test_work_that_is_broken_off_leaves_nothing_behind(tmp_path):
    some = records()

    def interrupt(i):
        if i == 2:
            raise KeyboardInterrupt
        return some.records[i]

    some.__class__ = type("Interrupted", (FewRecords,), {"__getitem__": lambda _, i: interrupt(i)})
    with pytest.raises(KeyboardInterrupt):
        kept(some, tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    assert len(kept(records(), tmp_path)) == 4


def test_two_at_once_make_one(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(kept(records(), tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len([path for path in tmp_path.iterdir() if not path.name.startswith(".")]) == 1


def test_too_little_room_is_refused_before_anything_is_decoded_for_good(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10_000))
    with pytest.raises(
        InvalidValue, match=r"cache of 4 pictures needs about 0\.0 GB, and .* GB free: name another folder"
    ):
        kept(records(), tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_disk_that_fills_up_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_cache, "_written", full)
    with pytest.raises(InvalidValue, match=r"can't be made \(the disk is full\): name another folder with data\.cache"):
        kept(records(), tmp_path)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match=r"the cache of pictures in .* can't be made"):
        kept(records(), tmp_path / "file" / "cache")


def test_how_far_the_work_has_come_is_told(tmp_path):
    told = []

    class Told:
        def __init__(self, title, total):
            told.append((title, total))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            told.append("end")

        def update(self, done):
            told.append(done)

    with drawn_by(Told):
        kept(records(), tmp_path)
    assert told == [("decoding few", 4), 1, 2, 3, 4, "end"]


def test_a_split_without_records_has_an_empty_cache(tmp_path):
    assert len(kept(FewRecords([]), tmp_path)) == 0
    assert os.listdir(tmp_path)
