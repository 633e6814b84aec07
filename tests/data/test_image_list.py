"""Lists of images with labels, boxes and masks, in CSV and JSON."""

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnets.data.image_folder import image_folder
from convnets.data.image_list import ImageList
from convnets.data.records import FileRecords
from convnets.errors import InvalidValue

pytestmark = pytest.mark.usefixtures("user_cache")

FILES = ("a.jpg", "deep/b.jpg", "c.png", "mask/a.png", "mask/b.png")


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write(path: Path, entries: list[dict[str, Any]]) -> Path:
    """The entries as CSV by Python's own writer, or as JSON."""
    if path.suffix == ".json":
        path.write_text(json.dumps(entries))
        return path
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(entries[0]))
        writer.writeheader()
        for entry in entries:
            writer.writerow({name: json.dumps(v) if isinstance(v, list) else v for name, v in entry.items()})
    return path


def records(
    data: Path, suffix: str, entries: list[dict[str, Any]], test: list[dict[str, Any]] | None = None
) -> FileRecords:
    """The training records, or the test records if there are `test` entries."""
    write(data / f"train{suffix}", entries)
    write(data / f"val{suffix}", test or entries)
    return image_folder("test" if test else "train", data_dir=str(data))


def refused(read: Any, *parts: str) -> None:
    with pytest.raises(InvalidValue) as error:
        read()
    text = str(error.value)
    assert "\n" not in text and ". " not in text
    for part in parts:
        assert part in text


both = pytest.mark.parametrize("suffix", [".csv", ".json"])


@both
def test_labels_are_the_sorted_names_places_and_the_lists_order_is_kept(data, suffix):
    entries = [
        {"path": "c.png", "label": "owl"},
        {"path": str(data / "a.jpg"), "label": "Cat"},
        {"path": "deep/b.jpg", "label": "cat, wild"},
        {"path": "c.png", "label": "Cat"},
    ]
    given = records(data, suffix, entries)
    assert given.info.classes == ("Cat", "cat, wild", "owl")
    assert [(record.image, record.label) for record in given] == [
        (data / "c.png", 2),
        (data / "a.jpg", 0),
        (data / "deep/b.jpg", 1),
        (data / "c.png", 0),
    ]
    assert given[2].name == str(data / "deep/b.jpg")
    assert tuple(given.info.fields) == ("label",) and given.info.splits == {"train": 4, "test": 4}
    assert given.info.state["path"] == str(data / f"train{suffix}") and given.info.state["files"] == 4


@both
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, 9, 100], ("9", "10", "100")),
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["10", "9", "x", "9"], ("10", "9", "x")),
        (["1.5", "10", "9", "9"], ("1.5", "10", "9")),
    ],
)
def test_classes_are_sorted_as_numbers_only_if_all_are_whole(data, suffix, labels, classes):
    given = records(data, suffix, [{"path": "a.jpg", "label": label} for label in labels])
    assert given.info.classes == classes
    assert [given.info.classes[record.label] for record in given] == [str(label) for label in labels]


@both
def test_boxes_have_their_own_class_or_the_images(data, suffix):
    given = records(
        data,
        suffix,
        [
            {"path": "a.jpg", "label": "ox", "boxes": [[1, 2, 3.5, 4], [0, 0, 10, 20, "ant"]]},
            {"path": "c.png", "label": "cow", "boxes": []},
            {"path": "a.jpg", "label": "cow", "boxes": [[5, 6, 7, 8]]},
        ],
    )
    assert given.info.classes == ("ant", "cow", "ox")
    assert tuple(given.info.fields) == ("label", "boxes") and given.info.box_counts == (0, 2)
    assert given[2].listed == f"{'line 4' if suffix == '.csv' else 'entry 3'} of {data}/train{suffix}"
    expected = [([[1, 2, 3.5, 4], [0, 0, 10, 20]], [2, 0]), (np.zeros((0, 4)), []), ([[5, 6, 7, 8]], [1])]
    for record, (boxes, labels) in zip(given, expected, strict=True):
        np.testing.assert_array_equal(record.boxes, np.array(boxes, np.float32), strict=True)
        np.testing.assert_array_equal(record.box_labels, np.array(labels, np.int32), strict=True)


@both
def test_lists_may_have_boxes_or_masks_without_labels(data, suffix):
    named = records(data, suffix, [{"path": "a.jpg", "boxes": [[0, 0, 1, 1, "ox"]]}, {"path": "c.png", "boxes": []}])
    assert (named.info.classes, tuple(named.info.fields)) == (("ox",), ("boxes",))
    assert named[0].label is None and list(named[0].box_labels) == [0] and len(named[1].box_labels) == 0
    unnamed = records(data, suffix, [{"path": "a.jpg", "boxes": [[0, 0, 1, 1]]}])
    assert unnamed.info.classes == () and unnamed[0].box_labels is None and unnamed[0].boxes.shape == (1, 4)
    masks = records(
        data, suffix, [{"path": "a.jpg", "mask": "mask/a.png"}, {"path": "c.png", "mask": str(data / "mask/b.png")}]
    )
    assert [record.mask for record in masks] == [data / "mask/a.png", data / "mask/b.png"]
    assert (masks.info.classes, tuple(masks.info.fields)) == ((), ("mask",))
    assert masks[0].label is None and masks[0].boxes is None


def test_csv_and_json_say_the_same_and_can_be_sent_to_another_process(data):
    entries = [
        {"path": "a.jpg", "label": "a", "boxes": [[0, 1, 2, 3]], "mask": "mask/a.png"},
        {"path": "c.png", "label": "b", "boxes": [], "mask": "mask/b.png"},
    ]
    by_csv, by_json = (ImageList(write(data / f"train{suffix}", entries)) for suffix in (".csv", ".json"))
    states = [given.files(given.classes()).state for given in (by_csv, by_json)]
    assert states[0]["sha256"] == states[1]["sha256"]
    given = records(data, ".csv", entries)
    copy = pickle.loads(pickle.dumps(given))
    assert (copy[0].image, copy[0].mask, copy.info) == (given[0].image, given[0].mask, given.info)


def test_the_state_changes_with_every_answer(data):
    entry = {"path": "a.jpg", "label": "b", "boxes": [[0, 1, 2, 3, "a"]], "mask": "mask/a.png"}
    changes: list[dict[str, Any]] = [
        {},
        {"path": "c.png"},
        {"label": "a"},
        {"mask": "mask/b.png"},
        {"boxes": [[0, 1, 2, 4, "a"]]},
        {"boxes": [[0, 1, 2, 3, "b"]]},
        {"boxes": []},
    ]
    states = set()
    for change in changes:
        given = ImageList(write(data / "list.json", [entry | change]))
        states.add(given.files(("a", "b")).state["sha256"])
    assert len(states) == len(changes)
    other = entry | {"boxes": []}
    for entries in ([entry, other], [other, entry]):
        given = ImageList(write(data / "list.json", entries))
        states.add(given.files(("a", "b")).state["sha256"])
    assert len(states) == len(changes) + 2


def test_a_csv_may_have_a_mark_blanks_and_empty_lines(data):
    text = '\ufeffpath, label ,boxes\r\na.jpg, ox , "[[0,0,1,1]]"\r\n\r\nc.png,cow,[]\r\n'
    for name in ("train.csv", "val.csv"):
        (data / name).write_text(text, newline="", encoding="utf-8")
    given = image_folder("train", data_dir=str(data))
    assert given.info.classes == ("cow", "ox") and [len(record.boxes) for record in given] == [1, 0]


@both
def test_a_test_list_is_held_to_the_training_lists_classes(data, suffix):
    train = [{"path": "a.jpg", "label": "cow"}, {"path": "a.jpg", "label": "ox"}]
    test = records(data, suffix, train, [{"path": "c.png", "label": "ox"}])
    assert test.info.classes == ("cow", "ox") and test[0].label == 1
    place = {".csv": "line 3 of", ".json": "entry 2 of"}[suffix]
    strange = [{"path": "c.png", "label": "ox"}, {"path": "c.png", "label": "cows"}]
    refused(lambda: records(data, suffix, train, strange), place, f"val{suffix}", "'cows'", "did you mean 'cow'")
    with_boxes = [entry | {"boxes": []} for entry in train]
    strange = [strange[0] | {"boxes": []}, strange[0] | {"boxes": [[0, 0, 1, 1, "elk"]]}]
    refused(lambda: records(data, suffix, with_boxes, strange), place, f"val{suffix}", "'elk'", "'cow', 'ox'")


# What is refused. Each text follows a good line 2, or a good entry 1.


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("a.jpg,,[],mask/a.png", ("line 3 of", "name of a class", "''")),
        (",ox,[],mask/a.png", ("line 3 of", "path of a file as path")),
        ("a.jpg,ox,[],", ("line 3 of", "path of a file as mask")),
        ("a.jpg,ox,,mask/a.png", ("line 3 of", "[y0, x0, y1, x1]", "''")),
        ("a.jpg,ox,[[0;1]],mask/a.png", ("line 3 of", "[[0;1]]")),
        ('a.jpg,ox,"[[0,0,1]]",mask/a.png', ("line 3 of", "[[0,0,1]]")),
        ('a.jpg,ox,"[[0,0,1,1,[]]]",mask/a.png', ("line 3 of",)),
        ('a.jpg,ox,"[0,0,1,1]",mask/a.png', ("line 3 of",)),
        ('a.jpg,ox,"[[5,0,5,1]]",mask/a.png', ("line 3 of", "y0 < y1", "[[5,0,5,1]]")),
        ('a.jpg,ox,"[[0,2,1,1]]",mask/a.png', ("line 3 of", "x0 < x1")),
        ('a.jpg,ox,"[[0,0,1,NaN]]",mask/a.png', ("line 3 of",)),
        ('a.jpg,ox,"[[0,0,1,1e300]]",mask/a.png', ("line 3 of",)),
        ('a.jpg,ox,"[[0,0,1,true]]",mask/a.png', ("line 3 of",)),
        ('a.jpg,ox,"[[0,0,1,""1""]]",mask/a.png', ("line 3 of",)),
        ("a.jpg,ox,[]", ("line 3 of", "3 cells for the 4 columns", "quotes")),
        ("a.jpg,ox,[[0,0,1,1]],mask/a.png", ("line 3 of", "7 cells for the 4 columns", "quotes")),
        ("lost.jpg,ox,[],mask/a.png", ("a file that is not there", "lost.jpg", "line 3")),
        ("a.jpg,ox,[],lost.png\nlost.jpg,ox,[],mask", ("3 files that are not there", "lost.png", "line 3")),
        ('a.jpg,"ox', ("malformed after line 2",)),
        ("a.jpg,\xff", ("UTF-8",)),
        ('\n\na.jpg,"o\nx",[],mask/a.png\nc.png,,[],mask/b.png', ("line 7 of",)),
    ],
)
def test_a_bad_line_of_a_csv_is_refused_with_its_number(data, line, parts):
    text = f"path,label,boxes,mask\nc.png,cow,[],mask/b.png\n{line}\n"
    (data / "bad.csv").write_text(text, encoding="latin-1")
    refused(lambda: ImageList(data / "bad.csv"), str(data / "bad.csv"), *parts)


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("path,lable", ("line 2 of", "unknown field 'lable'", "did you mean 'label'")),
        ("file,label", ("line 2 of", "unknown field 'file'", "path")),
        ("label,mask", ("must have the field path", "label, mask")),
        ("path", ("one of label, boxes and mask", "has path")),
        ("path,path", ("names a column twice",)),
    ],
)
def test_a_csv_with_other_columns_is_refused(data, header, parts):
    cells = ",".join(["a.jpg"] * len(header.split(",")))
    (data / "bad.csv").write_text(f"{header}\n{cells}\n")
    refused(lambda: ImageList(data / "bad.csv"), str(data / "bad.csv"), *parts)


@pytest.mark.parametrize(
    ("entry", "parts"),
    [
        ({"path": "a.jpg", "label": True}, ("entry 2 of", "True")),
        ({"path": "a.jpg", "label": 1.5}, ("entry 2 of", "1.5")),
        ({"path": "a.jpg", "label": None}, ("entry 2 of", "None")),
        ({"path": 3, "label": "ox"}, ("entry 2 of", "path of a file")),
        ({"path": "a\0.jpg", "label": "ox"}, ("entry 2 of", "path of a file")),
        ({"path": "\ud800.jpg", "label": "ox"}, ("entry 2 of", "path of a file")),
        ({"path": "a.jpg"}, ("entry 2 of", "one of label, boxes and mask")),
        ({"path": "a.jpg", "mask": "mask/a.png"}, ("entry 2 of", "has not the field label")),
        ({"path": "a.jpg", "label": "ox", "boxes": []}, ("entry 2 of", "has the field boxes")),
        ({"path": "a.jpg", "label": "ox", "box": []}, ("entry 2 of", "'box'", "did you mean 'boxes'")),
        (["a.jpg", "ox"], ("entry 2 of", "must be an object")),
    ],
)
def test_a_bad_entry_of_a_json_list_is_refused_with_its_number(data, entry, parts):
    write(data / "bad.json", [{"path": "c.png", "label": "cow"}, entry])
    refused(lambda: ImageList(data / "bad.json"), str(data / "bad.json"), *parts)


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("bad.json", "[{", ("malformed",)),
        ("bad.json", "[" * 100_000, ("malformed",)),
        ("bad.json", "{}", ("list of objects", "dict")),
        ("bad.json", "[]", ("lists no images",)),
        ("bad.csv", "", ("lists no images",)),
        ("bad.csv", "path,label\n", ("lists no images",)),
    ],
)
def test_a_file_that_is_no_list_is_refused(data, name, text, parts):
    (data / name).write_text(text)
    refused(lambda: ImageList(data / name), str(data / name), *parts)


def test_boxes_of_which_only_some_have_a_class_are_refused(data):
    entries = [{"path": "a.jpg", "boxes": [[0, 0, 1, 1, "ox"]]}, {"path": "c.png", "boxes": [[0, 0, 1, 1]]}]
    refused(lambda: records(data, ".json", entries), "entry 2 of", "box without a class")
