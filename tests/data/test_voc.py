"""PASCAL VOC's layout: lists, masks by their palette's places, boxes that count from 1, and what is refused."""

import numpy as np
import pytest

from convnets import data
from convnets.data.source import DataNotFound
from convnets.data.voc import CLASSES
from convnets.errors import InvalidValue
from tests.data.voc_folder import LISTS, SIZES, annotation, mask, write_voc


def opened(folder, split="train", **options):
    options = {"size": 16, "evaluation_size": 0, "boxes": 3} | options
    return data.create("voc", split, data_dir=str(folder), **options)


def names_of(source):
    return [source.records[i].name.rsplit("/", 1)[1].removesuffix(".jpg") for i in range(len(source))]


def test_splits_are_the_lists_in_their_order(tmp_path):
    folder = write_voc(tmp_path)
    assert names_of(opened(folder)) == LISTS["train"] and names_of(opened(folder, "test")) == LISTS["val"]
    assert opened(folder).info.splits == {"train": 2, "test": 1}
    swapped = opened(folder, train="val", test="train")
    assert names_of(swapped) == LISTS["val"] and swapped.info.splits == {"train": 1, "test": 2}


def test_masks_are_the_places_of_the_palette_and_void_is_ignored(tmp_path):
    source = opened(write_voc(tmp_path))
    assert source.info.mask_classes == ("background", *CLASSES) and source.info.classes == CLASSES
    for i, name in enumerate(LISTS["train"]):
        height, width = SIZES[name]
        np.testing.assert_array_equal(source[i]["mask"][:height, :width], mask(name))
        assert (mask(name) == 255).any()


def test_boxes_count_from_1_and_include_their_last_pixel(tmp_path):
    example = opened(write_voc(tmp_path))[1]
    height, width = SIZES["2007_000032"]
    # The second is one pixel, in the fourth row and the third column.
    assert example["boxes"].tolist() == [[1, 0, height, width], [3, 2, 4, 3], [0, 0, 0, 0]]
    assert example["box_labels"].tolist() == [CLASSES.index("dog"), CLASSES.index("person"), -1]


def test_edges_of_labelme_are_taken_as_they_are(tmp_path):
    folder = write_voc(tmp_path, masks=False)
    for name in SIZES:
        (folder / "Annotations" / f"{name}.xml").write_text(annotation([("cat", 0.0, 1.5, 12.25, 30)]))
    source = opened(folder, first_pixel=0)
    assert source[1]["boxes"][0].tolist() == [1.5, 0, 30, 12.25]
    with pytest.raises(
        InvalidValue, match=r"object 1 of .*39\.xml begins at row 1\.5, column 0, and VOC counts from 1"
    ):
        opened(folder)


def test_all_are_those_with_an_answer(tmp_path):
    folder = write_voc(tmp_path)
    assert names_of(opened(folder, train="all")) == [*SIZES][:3]
    boxes_only = opened(write_voc(tmp_path / "boxes", masks=False), train="all")
    assert names_of(boxes_only) == [*SIZES] and "mask" not in boxes_only[0] and boxes_only.info.mask_classes == ()
    masks_only = opened(write_voc(tmp_path / "masks", boxes=False))
    assert {"mask"} == {"mask", "boxes", "label"} & masks_only[0].keys()


def test_masks_of_labelme_are_pngs_in_a_folder_of_their_own(tmp_path):
    folder = write_voc(tmp_path, boxes=False)
    (folder / "SegmentationClass").rename(folder / "SegmentationClassPNG")
    (folder / "SegmentationClass").mkdir()
    np.save(folder / "SegmentationClass" / "2007_000032.npy", mask("2007_000032").astype(np.int32))
    height, width = SIZES["2007_000032"]
    np.testing.assert_array_equal(opened(folder)[1]["mask"][:height, :width], mask("2007_000032"))


def test_class_names_of_the_folder_are_the_classes(tmp_path):
    folder = write_voc(tmp_path)
    (folder / "class_names.txt").write_text("_background_\nperson\ndog")
    source = opened(folder, train="all", unreadable=9)
    assert source.info.mask_classes == ("background", "person", "dog") and source.info.classes == ("person", "dog")
    assert source.records[0].box_labels.tolist() == [1, 0]
    (folder / "class_names.txt").write_text("person\ndog")
    assert opened(folder).info.mask_classes == opened(folder).info.classes == ("person", "dog")


def test_other_boxes_are_other_data(tmp_path):
    folder = write_voc(tmp_path)
    before = opened(folder).info.digest
    assert opened(folder).info.digest == before
    (folder / "Annotations" / "2007_000032.xml").write_text(annotation([("dog", 1, 2, 9, 9)]))
    assert opened(folder).info.digest != before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "JPEGImages/2007_000039.jpg",
            r"1 of the 2 pictures of .*/train\.txt have no \.jpg file in .*JPEGImages \('2007",
        ),
        ("SegmentationClass/2007_000039.png", r"have no \.png file in .*SegmentationClass \('2007_000039'\)"),
        ("Annotations/2007_000039.xml", r"have no \.xml file in .*Annotations"),
        ("ImageSets/Segmentation/train.txt", r"Segmentation/train\.txt is not there: .* data\.train, or 'all'"),
        ("ImageSets/Segmentation/val.txt", r"val\.txt is not there: .* data\.test, or 'all'"),
    ],
)
def test_missing_files_are_named(tmp_path, name, sentence):
    folder = write_voc(tmp_path)
    (folder / name).unlink()
    with pytest.raises(DataNotFound, match=sentence):
        opened(folder)


def test_folders_of_another_layout_are_refused(tmp_path):
    with pytest.raises(DataNotFound, match=r"has no JPEGImages: name the folder that has it, such as VOC2012"):
        opened(tmp_path)
    with pytest.raises(DataNotFound, match="has neither masks"):
        opened(write_voc(tmp_path, masks=False, boxes=False))
    with pytest.raises(InvalidValue, match="voc has the splits train and test, not 'val'"):
        opened(tmp_path, "val")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2007_000032 -1\n", "has the line '2007_000032 -1'"),
        ("../2007_000032\n", "has the line '../2007_000032'"),
        ("2007_000032\n2007_000032\n", "has '2007_000032' twice"),
        ("\n", "has no name in it"),
    ],
)
def test_malformed_lists_are_refused(tmp_path, text, sentence):
    folder = write_voc(tmp_path)
    (folder / "ImageSets/Segmentation/train.txt").write_text(text)
    with pytest.raises(InvalidValue, match=rf"train\.txt {sentence}: write the name of one picture"):
        opened(folder)


BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>3</ymax></bndbox>"
LAUGHS = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]><annotation>&y;</annotation>'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            f"<annotation><object><name>dig</name>{BOX.format(3)}</object></annotation>",
            "the class 'dig'.* did you mean 'dog'",
        ),
        (f"<annotation><object>{BOX.format(3)}</object></annotation>", "object 1 of .* has the class ''"),
        ("<annotation><object><name>dog</name></object></annotation>", "must have a bndbox of numbers"),
        (f"<annotation><object><name>dog</name>{BOX.format('x')}</object></annotation>", "and has .*'xmax': 'x'"),
        (f"<annotation><object><name>dog</name>{BOX.format(0)}</object></annotation>", "with xmin < xmax"),
        (f"<annotation><object><name>dog</name>{BOX.format('nan')}</object></annotation>", "must have a bndbox"),
        ("<annotation>", "is no annotation in XML"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "is no annotation in XML"),
        (LAUGHS, "declares a DOCTYPE, which annotations have no need of"),
        ('<!DOCTYPE a SYSTEM "file:///etc/hostname"><annotation/>', "declares a DOCTYPE"),
    ],
)
def test_malformed_and_hostile_annotations_are_refused(tmp_path, text, sentence):
    folder = write_voc(tmp_path)
    for encoding in ("utf-8", "utf-16"):
        if encoding == "utf-16" and "encoding=" in text:
            continue
        (folder / "Annotations" / "2007_000032.xml").write_bytes(text.encode(encoding))
        with pytest.raises(InvalidValue, match=sentence) as refused:
            opened(folder)
        assert "2007_000032.xml" in str(refused.value)
