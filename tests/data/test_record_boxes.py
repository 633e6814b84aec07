"""Boxes of pictures: bad ones are refused by name and value, and each keeps its place and its class."""

import json

import numpy as np
import pytest
from PIL import Image

from convnets import data
from convnets.data.answers import check_boxes, labels_of_boxes
from convnets.data.decoding import UnreadableImage
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import Pictures
from convnets.data.records import Record
from convnets.errors import InvalidValue
from tests.data.few_records import FewRecords

NAN = float("nan")


def record(boxes, label=None, box_labels=None, **more):
    labels = None if box_labels is None else np.array(box_labels, np.int32)
    return Record(np.zeros((40, 60, 3), np.uint8), "shoe.png", label, np.array(boxes, np.float32), labels, **more)


def served(one, **options):
    fields = ("boxes",) if one.label is None else ("label", "boxes")
    return Pictures(FewRecords([one], fields=fields), PictureOptions(size=20, evaluation_size=20, **options))


@pytest.mark.parametrize(
    "box",
    [
        (5, 5, 5, 9),
        (9, 5, 5, 9),
        (5, 9, 9, 5),
        (NAN, 0, 5, 5),
        (0, 0, 45, 60),
        (-4, 0, 9, 9),
        (0, 50, 9, 70),
        (50, 0, 60, 9),
    ],
    ids=str,
)
def test_bad_boxes_are_refused_with_the_file_and_the_value(box):
    one = record([(1, 2, 3, 4), box], 0, listed="line 7 of list.csv")
    named = rf"box 2 of shoe.png \(line 7 of list.csv\) is \[{box[0]:g}, {box[1]:g}, {box[2]:g}, {box[3]:g}\]"
    with pytest.raises(UnreadableImage, match=named):
        check_boxes(one, 40, 60)
    with pytest.raises(UnreadableImage, match=r"within its 40 x 60 pixels"):
        served(one)[0]
    with pytest.raises(InvalidValue, match=named):
        served(one).batch(np.array([0]))
    assert served(one, unreadable=1).batch(np.array([0]))["weight"].tolist() == [0]


def test_a_pixel_beyond_the_edge_is_rounding():
    boxes = served(record([(-0.6, 0, 40.9, 60.5)], 0))[0]["boxes"]
    assert boxes[0].tolist() == [0, 0, 20, 20]


def test_a_box_has_its_own_class_or_its_picture_s():
    assert labels_of_boxes(record([(0, 0, 1, 1)], 3, [5]), np.zeros((1, 4))).tolist() == [5]
    assert labels_of_boxes(record([(0, 0, 1, 1)], 3), np.zeros((1, 4))).tolist() == [3]
    assert labels_of_boxes(record([(0, 0, 1, 1)]), np.zeros((1, 4))).tolist() == [0]


def test_each_box_keeps_its_place_although_another_is_out_of_sight():
    """A place may have a meaning: the left shoe is number one wherever the picture is cut."""
    example = served(record([(0, 0, 8, 8), (10, 20, 30, 40)], 0, [4, 6]), boxes=2)[0]
    assert example["boxes"].tolist() == [[0, 0, 0, 0], [5, 5, 15, 15]]
    assert example["box_labels"].tolist() == [-1, 6]


def test_the_number_of_boxes_is_known_before_a_picture_is_read(tmp_path):
    for name in "ab":
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / f"{name}.png")
    entries = [
        {"path": "a.png", "label": "shoe", "boxes": [[0, 0, 9, 9]]},
        {"path": "b.png", "label": "bag", "boxes": [[0, 0, 9, 9, "shoe"], [5, 5, 20, 20], [1, 1, 2, 2]]},
    ]
    for split in ("train", "test"):
        (tmp_path / f"{split}.json").write_text(json.dumps(entries))
    source = data.create("image_folder", "train", data_dir=str(tmp_path), size=20, evaluation_size=20)
    assert source.info.box_counts == (1, 3)
    two = data.create("image_folder", "train", data_dir=str(tmp_path), size=20, evaluation_size=20, boxes=2)
    assert two.info.box_counts == (1, 2)
    assert data.create("scenes", "train", objects=(2, 2), examples=10).info.box_counts == (2, 2)


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_box_beyond_its_picture_is_refused_with_its_row(tmp_path, suffix):
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    for split in ("train", "test"):
        file = tmp_path / f"{split}.{suffix}"
        if suffix == "csv":
            file.write_text('path,label,boxes\na.png,shoe,"[[0, 0, 9, 9]]"\na.png,bag,"[[0, 0, 9, 99]]"\n')
        else:
            rows = [("shoe", [[0, 0, 9, 9]]), ("bag", [[0, 0, 9, 99]])]
            file.write_text(json.dumps([{"path": "a.png", "label": label, "boxes": box} for label, box in rows]))
    source = data.create("image_folder", "train", data_dir=str(tmp_path), size=20, evaluation_size=20)
    where = "line 3" if suffix == "csv" else "entry 2"
    with pytest.raises(UnreadableImage, match=rf"a.png \({where} of .*train.{suffix}\) is \[0, 0, 9, 99\]"):
        source[1]
