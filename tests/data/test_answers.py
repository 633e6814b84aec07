"""Masks and boxes of records: what is read exactly, and what is refused with the file and the value."""

import numpy as np
import pytest
from PIL import Image

from convnets.data.answers import check_boxes, labels_of_boxes, mask_of
from convnets.data.decoding import UnreadableImage
from convnets.data.label_map import IGNORED, LabelMap
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import Pictures
from convnets.data.records import Record
from convnets.errors import InvalidValue
from tests.data.examples import FewRecords, encoded, png, png_of_few_levels

COLOURS = np.array([(0, 0, 0), (128, 64, 128), (70, 70, 70), (255, 255, 0)], np.uint8)
"""Of three classes, and of what is ignored."""
COLOUR_MAP = LabelMap(
    ("sky", "road", "car"), *(tuple(map(tuple, part.tolist())) for part in (COLOURS[:3], COLOURS[3:]))
)
PLACES = np.random.default_rng(0).integers(0, 4, (5, 7)).astype(np.uint8)
EXPECTED = np.where(PLACES == 3, IGNORED, PLACES)


def read(content, label_map=None, size=(5, 7)):
    return mask_of(content, "p.jpg", *size, label_map)


def test_a_colour_map_is_read_from_rgb_and_from_a_palette():
    # A palette in another order than the classes, so that its places are not the answer.
    order = np.array([2, 0, 3, 1])
    palette = png(order.argsort()[PLACES].astype(np.uint8), COLOURS[order])
    opaque = Image.fromarray(COLOURS[PLACES]).convert("RGBA")
    for content in (png(COLOURS[PLACES]), palette, encoded(opaque, "PNG"), COLOURS[PLACES], encoded(opaque, "TIFF")):
        found = read(content, COLOUR_MAP)
        np.testing.assert_array_equal(found, EXPECTED)
        assert found.dtype == np.int32


def test_a_palette_without_colour_map_is_read_by_its_places():
    np.testing.assert_array_equal(read(png(PLACES, COLOURS)), PLACES)
    label_map = LabelMap(("a", "b", "c"), ignored=(3,))
    np.testing.assert_array_equal(read(png(PLACES, COLOURS), label_map), EXPECTED)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_levels_are_those_that_are_stored(depth):
    levels = np.random.default_rng(depth).integers(0, 2**depth, (5, 7))
    content = png_of_few_levels(levels, depth)
    np.testing.assert_array_equal(read(content), levels)
    np.testing.assert_array_equal(read(content, LabelMap(tuple(map(str, range(16))))), levels)


def test_16_bits_of_small_levels_are_read():
    np.testing.assert_array_equal(read(encoded(Image.fromarray(EXPECTED.astype(np.uint16)), "PNG")), EXPECTED)


@pytest.mark.parametrize(
    ("value", "label_map", "sentence"),
    [
        (
            9,
            LabelMap(("a", "b", "c")),
            r"has the level 9 in row 2, column 6 \(from 0\), and its label map has 0, 1, 2 for ",
        ),
        (255, LabelMap(("a", "b", "c"), ignored=(7,)), "has the level 255 in row 2, column 6"),
        (300, LabelMap(("a", "b", "c")), r"has the level 300 in row 2, column 6 .* those of a mask lie in \[0, 255\]"),
        (300, None, "has the level 300 in row 2, column 6"),
        ((70, 70, 71), COLOUR_MAP, r"has the colour \(70, 70, 71\) in row 2, column 6"),
    ],
)
def test_a_value_that_stands_for_nothing_is_refused_with_its_pixel(tmp_path, value, label_map, sentence):
    levels = np.zeros((5, 7) if np.isscalar(value) else (5, 7, 3), np.uint16 if value == 300 else np.uint8)
    levels[2, 6] = levels[4, 0] = value
    path = tmp_path / "masks" / "m.png"
    path.parent.mkdir()
    Image.fromarray(levels).save(path)
    with pytest.raises(UnreadableImage, match=rf"^the mask .*/masks/m\.png {sentence}"):
        read(path, label_map)


@pytest.mark.parametrize(
    ("content", "label_map", "sentence"),
    [
        (png(COLOURS[PLACES]), None, "has 3 channels, and a mask has one"),
        (png(np.repeat(PLACES[..., None], 3, axis=2)), LabelMap(("a", "b", "c", "d")), "has 3 channels"),
        (png(PLACES), COLOUR_MAP, "has grey levels, and its classes are given as colours"),
        (encoded(Image.new("RGBA", (7, 5), (0, 0, 0, 9)), "PNG"), COLOUR_MAP, "has 4 channels"),
        (encoded(Image.new("LA", (7, 5)), "PNG"), LabelMap(("a",)), "has 2 channels"),
        (encoded(Image.new("F", (7, 5)), "TIFF"), LabelMap(("a",)), "has floating-point values"),
        (np.zeros((5, 7), np.float32), LabelMap(("a",)), "has floating-point values"),
        (b"\x93NUMPY\1\0", LabelMap(("a",)), "is a NumPy array"),
        (png(PLACES[:, :5]), LabelMap(("a",)), "has 5 x 5 pixels, and the picture 5 x 7"),
        (b"no picture", LabelMap(("a",)), "in no known format"),
        # Beyond the palette.
        (png(PLACES, COLOURS[:3]), COLOUR_MAP, r"has the colour \(-1, -1, -1\)"),
    ],
)
def test_what_is_no_mask_of_the_kind_is_refused_by_name(content, label_map, sentence):
    with pytest.raises(UnreadableImage, match=rf"^the mask of p\.jpg .*{sentence}"):
        read(content, label_map)


def test_a_missing_mask_is_refused(tmp_path):
    with pytest.raises(UnreadableImage, match=r"^the mask .*gone\.png can't be read as an image: No such file"):
        read(tmp_path / "gone.png")


NAN = float("nan")


def boxed(boxes, label=None, box_labels=None, **more):
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
    one = boxed([(1, 2, 3, 4), box], 0, listed="line 7 of list.csv")
    named = rf"box 2 of shoe.png \(line 7 of list.csv\) is \[{box[0]:g}, {box[1]:g}, {box[2]:g}, {box[3]:g}\]"
    with pytest.raises(UnreadableImage, match=named):
        check_boxes(one, 40, 60)
    with pytest.raises(UnreadableImage, match=r"within its 40 x 60 pixels"):
        served(one)[0]
    with pytest.raises(InvalidValue, match=named):
        served(one).batch(np.array([0]))
    assert served(one, unreadable=1).batch(np.array([0]))["weight"].tolist() == [0]


def test_a_pixel_beyond_the_edge_is_rounding_and_boxes_beyond_their_places_are_left_out():
    source = served(boxed([(-0.6, 0, 40.9, 60.5), (0, 0, 9, 9)], 0), boxes=1)
    assert source[0]["boxes"].tolist() == [[0, 0, 20, 20]] and source.info.box_counts == (0, 1)


@pytest.mark.parametrize(("label", "own", "expected"), [(3, [5], 5), (3, None, 3), (None, None, 0)])
def test_a_box_has_its_own_class_or_its_picture_s(label, own, expected):
    assert labels_of_boxes(boxed([(0, 0, 1, 1)], label, own), np.zeros((1, 4))).tolist() == [expected]


def test_each_box_keeps_its_place_although_another_is_out_of_sight():
    """A place may have a meaning: the left shoe is number one wherever the picture is cut."""
    example = served(boxed([(0, 0, 8, 8), (10, 20, 30, 40)], 0, [4, 6]), boxes=2)[0]
    assert example["boxes"].tolist() == [[0, 0, 0, 0], [5, 5, 15, 15]]
    assert example["box_labels"].tolist() == [-1, 6]
