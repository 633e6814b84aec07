"""Examples served from records: their shapes, their draws, and what happens to pictures that can't be decoded."""

import io
import logging
import pickle
from contextlib import closing
from functools import partial

import numpy as np
import pytest
from PIL import Image

from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import Pictures, serve
from convnets.data.pipeline import EvaluationBatches, TrainingBatches, read_ahead
from convnets.data.records import Record
from convnets.data.resampling import central_part, resized_exactly
from convnets.data.source import load_training_batch
from convnets.data.views import Subset
from convnets.errors import InvalidValue
from tests.data.examples import FewRecords, broken, encoded, noise, photograph

SIZES = [(60, 80), (80, 60), (50, 50), (200, 90), (33, 41), (64, 48)]


def records(count=6, **more):
    pictures = [encoded(photograph(width, height)) for height, width in SIZES[:count]]
    return [Record(content, f"picture {i}", i % 2, **more) for i, content in enumerate(pictures)]


def source(some=None, *, fields=("label",), **options):
    options = {"size": 24, "evaluation_size": 32} | options
    return Pictures(FewRecords(records() if some is None else some, fields=fields), PictureOptions(**options))


def trained(pictures, indices, epoch=0, seed=0, size=None):
    return load_training_batch(pictures, np.asarray(indices), np.full(len(indices), epoch), seed, size)


def test_an_example_is_the_centre_as_pillow_resizes_it():
    example = source()[0]
    pixels = np.asarray(Image.open(io.BytesIO(records()[0].image)))
    expected = resized_exactly(pixels, central_part(60, 80, 32, 32), (32, 32))
    np.testing.assert_array_equal(example["image"], expected)
    assert (example["label"], example["index"]) == (0, 0)
    assert (example["label"].dtype, example["index"].dtype, example["image"].dtype) == ("int32", "int32", "uint8")
    with pytest.raises(IndexError, match="outside the 6 examples"):
        source()[6]


def test_batches_hold_what_the_info_says_also_in_another_process():
    pictures = pickle.loads(pickle.dumps(source(channels=1, crop="centre", evaluation_size=24)))
    assert pictures.info.image_shape == pictures.info.training_shape == (24, 24, 1)
    batch = pictures.batch(np.arange(6))
    assert batch["image"].shape == (6, 24, 24, 1) and trained(pictures, [0], size=20)["image"].shape == (1, 20, 20, 1)
    for epoch in (0, 9):
        np.testing.assert_array_equal(trained(pictures, range(6), epoch=epoch)["image"], batch["image"])


@pytest.mark.parametrize("crop", ["scaled", "random_shape"])
def test_the_part_that_training_sees_is_drawn_from_seed_epoch_and_index_alone(crop):
    pictures = source(crop=crop)
    whole = trained(pictures, range(6), epoch=3, seed=7)
    for order in ([4], [2, 4, 0], [4, 4]):
        part = trained(pictures, order, epoch=3, seed=7)
        for name in whole:
            np.testing.assert_array_equal(part[name], whole[name][order])
    for other in ({"epoch": 4, "seed": 7}, {"epoch": 3, "seed": 8}):
        same = (trained(pictures, range(6), **other)["image"] == whole["image"]).all(axis=(1, 2, 3))
        assert not same.any()


def test_a_subset_is_trained_on_by_its_parents_draws():
    pictures = source()
    subset = Subset(pictures, np.array([5, 3, 1]))
    found = load_training_batch(subset, np.array([2, 0]), np.array([4, 4]), 1)
    expected = trained(pictures, [1, 5], epoch=4, seed=1)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_boxes_and_masks_follow_the_part():
    scene = np.zeros((90, 120, 3), np.uint8)
    scene[30:60, 40:100] = 255
    mask = encoded(Image.fromarray((scene[..., 0] > 0).astype(np.uint8)), "PNG")
    boxes = np.array([[30, 40, 60, 100], [0, 0, 5, 5]], np.float32)
    record = Record(scene, "scene", 1, boxes, np.array([1, 0], np.int32), mask)
    pictures = source([record], fields=("label", "boxes", "mask"), size=48, boxes=3, scale=(1.0, 1.5))
    for epoch in range(20):
        batch = trained(pictures, [0], epoch=epoch)
        image, label = batch["image"][0], batch["box_labels"][0]
        # But for corners, where a linear mean of four lies below the middle though three are white.
        assert ((image[..., 0] > 127) != (batch["mask"][0] == 1)).sum() <= 4
        assert batch["boxes"].shape == (1, 3, 4) and label.tolist()[-1] == -1
        (box,) = batch["boxes"][0][label == 1]
        rows, columns = np.flatnonzero(image.any(axis=(1, 2))), np.flatnonzero(image.any(axis=(0, 2)))
        seen = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
        np.testing.assert_allclose(box, seen, atol=1.5)


def test_boxes_that_are_out_of_sight_give_their_places_up():
    boxes = np.array([[0, 0, 4, 4], [40, 50, 50, 60]], np.float32)
    record = Record(noise(90, 120), "noise", 0, boxes, np.array([0, 1], np.int32))
    batch = source([record], fields=("label", "boxes"), boxes=1).batch(np.array([0]))
    # Scaled to 32 x 43, of which 5 columns on the left are cut off, and the first box with them.
    assert batch["box_labels"].tolist() == [[1]]
    np.testing.assert_allclose(
        batch["boxes"][0, 0], [40 * 32 / 90, 50 * 43 / 120 - 5, 50 * 32 / 90, 60 * 43 / 120 - 5], rtol=1e-6
    )


def test_pictures_are_passed_over_up_to_the_limit_and_named_once(caplog):
    some = records()
    some[1], some[4] = broken(some[1]), broken(some[4])
    pictures = source(some, unreadable=2)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            batch = pictures.batch(np.arange(6))
            trained(pictures, range(6))
    assert batch["weight"].tolist() == [1, 0, 1, 1, 0, 1]
    first, second = caplog.messages
    assert first.startswith("picture 1 can't be read as an image") and "passed over, 2 of at most 2" in second
    for limit, sentence in (
        (0, r"^picture 1 can't be read .*, and none is to be passed over: .* raise data\.unreadable above 0$"),
        (1, "^picture 4 can't be read .*, and 1 were passed over before it"),
    ):
        for read in (Pictures.batch, trained):
            with pytest.raises(InvalidValue, match=sentence):
                read(source(some, unreadable=limit), np.arange(6))


def test_in_training_the_next_picture_takes_the_place_of_one_that_is_passed_over():
    some = records()
    some[1], some[2], some[5] = broken(some[1]), broken(some[2]), broken(some[5])
    pictures = source(some, unreadable=3)
    batch = trained(pictures, range(6))
    assert batch["index"].tolist() == [0, 3, 3, 3, 4, 0]
    assert batch["unreadable"].tolist() == [-1, 1, 2, -1, -1, 5]
    np.testing.assert_array_equal(batch["image"][1], trained(source(), [3])["image"][0])
    assert batch["label"].tolist() == [0, 1, 1, 1, 0, 0]
    # One that is held out never does.
    batch = trained(Subset(pictures, np.array([1, 3, 5])), range(3))
    assert batch["index"].tolist() == [3, 3, 3] and batch["unreadable"].tolist() == [1, -1, 5]


@pytest.mark.parametrize(
    ("workers", "kind"),
    [(0, EvaluationBatches), (0, partial(TrainingBatches, seed=0, steps=4)), (1, EvaluationBatches)],
)
def test_the_limit_holds_however_many_processes_decode(workers, kind, caplog):
    some = records()
    for i in (0, 2, 3):
        some[i] = broken(some[i])
    with (
        closing(read_ahead(kind(source(some, unreadable=2), batch_size=2), workers=workers, threads=1)) as stream,
        pytest.raises(InvalidValue, match="and 2 were passed over before it"),
    ):
        list(stream)
    if workers:
        return
    caplog.clear()
    batches = list(read_ahead(kind(source(some, unreadable=3), batch_size=2), threads=1))
    assert len(caplog.messages) == 3
    assert all("unreadable" not in batch for batch in batches)


def test_a_split_without_any_picture_ends():
    with pytest.raises(InvalidValue, match="none of the 2 pictures of 'few' can be decoded"):
        trained(source([broken(record) for record in records(2)], unreadable=9), [0])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 0}, "data.size is 0, and must be 1 or more"),
        ({"evaluation_size": -3}, "data.evaluation_size is -3"),
        ({"boxes": 0}, "data.boxes is 0"),
        ({"unreadable": -1}, "data.unreadable is -1, and must not be negative"),
        ({"cache_size": -1}, "data.cache_size is -1"),
        ({"cache_size": 255}, "data.cache_size is 255, and must be 0 or at least 256, the larger of data.size and"),
        ({"cache_size": 299, "size": 300}, "data.cache_size is 299, and must be 0 or at least 300"),
        ({"scale": (0.5, 2.0)}, r"data.scale is \(smallest, largest\), from 1, and is \(0.5, 2.0\)"),
        ({"scale": (2.0, 1.0)}, "data.scale"),
        ({"area": (0.0, 1.0)}, r"data.area is \(smallest, largest\), in \(0, 1\]"),
        ({"area": (0.5, 1.5)}, "data.area"),
        ({"aspect": (0.0, 1.0)}, "data.aspect"),
        ({"aspect": (1.0,)}, "data.aspect"),
    ],
)
def test_options_out_of_their_range_are_refused(options, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        serve(FewRecords(records(1)), PictureOptions(**options), "train")
