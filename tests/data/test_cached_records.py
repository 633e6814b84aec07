"""What a cache of decoded pictures holds: pixels, answers, what could not be decoded; and damage to it."""

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from convnets.data.cached_records import DamagedCache
from convnets.data.decoding import UnreadableImage
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.records import Record
from tests.data.few_records import FewRecords, broken
from tests.data.photograph import noise, photograph
from tests.data.small_caches import Changed, caches, encoded, kept, records


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
    cache = kept(some, tmp_path, unreadable=1)
    with pytest.raises(UnreadableImage, match=r"^picture 1 can't be read as an image"):
        cache[1]
    np.testing.assert_array_equal(cache[2].image, np.asarray(photograph(30, 24)))
    batch = serve(
        some, PictureOptions(size=8, evaluation_size=8, unreadable=1, cache_size=40, cache=str(tmp_path)), "train"
    )
    assert batch.batch(np.arange(4))["weight"].tolist() == [1, 0, 1, 1]


def test_it_can_be_sent_to_another_process(tmp_path):
    cache = kept(records(), tmp_path)
    sent = pickle.loads(pickle.dumps(cache))
    np.testing.assert_array_equal(sent[3].image, cache[3].image)
    assert sent.info == cache.info


def test_classes_and_sizes_are_those_of_now(tmp_path):
    kept(records(), tmp_path)
    other = records()
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
    cache = kept(records(), tmp_path)
    expected = [cache[i].image.copy() for i in range(4)]
    damage(cache.folder)
    with pytest.raises(DamagedCache, match=r"the cache of pictures .* is damaged .*: start anew, which makes"):
        pickle.loads(pickle.dumps(cache))
    again = kept(records(), tmp_path)
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

    cache = kept(Changed(records(), 0, refuse), tmp_path, unreadable=1)
    assert cache.errors == {0: "picture 0 can't be decoded"}
    assert [cache[i].label for i in (1, 2, 3)] == [1, 2, 3]


def test_larger_pictures_are_kept_shrunk_as_pillow_does_and_smaller_ones_as_they_are(tmp_path):
    cache = kept(records(), tmp_path)
    shapes = [record.image.shape for record in (cache[i] for i in range(len(cache)))]
    assert shapes == [(40, 53, 3), (53, 40, 3), (24, 30, 3), (40, 40, 3)]
    expected = photograph(80, 60).resize((53, 40), Image.Resampling.BILINEAR)
    assert np.abs(cache[0].image.astype(int) - np.asarray(expected)).max() <= 1
    np.testing.assert_array_equal(cache[2].image, np.asarray(photograph(30, 24)))
    assert [cache[i].label for i in range(4)] == [0, 1, 2, 3]
    assert cache.info == records().info
