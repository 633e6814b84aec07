"""From mask files to classes: what is read exactly, and what is refused with the file, the value and the pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from convnets.data.answers import mask_of
from convnets.data.decoding import UnreadableImage
from convnets.data.label_map import IGNORED, LabelMap
from tests.data.mask_files import png, png_of_few_levels, write

COLOURS = np.array([(0, 0, 0), (128, 64, 128), (70, 70, 70), (255, 255, 0)], np.uint8)
"""Of three classes, and of what is ignored."""
COLOUR_MAP = LabelMap(
    ("sky", "road", "car"), *(tuple(map(tuple, part.tolist())) for part in (COLOURS[:3], COLOURS[3:]))
)
PLACES = np.random.default_rng(0).integers(0, 4, (5, 7)).astype(np.uint8)
EXPECTED = np.where(PLACES == 3, IGNORED, PLACES)


def read(content, label_map=None, size=(5, 7)):
    return mask_of(content, "p.jpg", *size, label_map)


def encoded(image, form):
    stream = io.BytesIO()
    image.save(stream, form)
    return stream.getvalue()


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
        (png(COLOURS[PLACES]), LabelMap(("a", "b")), "has 3 channels, and a mask has one"),
        (png(np.repeat(PLACES[..., None], 3, axis=2)), LabelMap(("a", "b", "c", "d")), "has 3 channels"),
        (png(PLACES), COLOUR_MAP, "has grey levels, and its classes are given as colours"),
        (encoded(Image.new("RGBA", (7, 5), (0, 0, 0, 9)), "PNG"), COLOUR_MAP, "has 4 channels"),
        (encoded(Image.new("LA", (7, 5)), "PNG"), LabelMap(("a",)), "has 2 channels"),
        (encoded(Image.new("F", (7, 5)), "TIFF"), LabelMap(("a",)), "has floating-point values"),
        (np.zeros((5, 7), np.float32), LabelMap(("a",)), "has floating-point values"),
        (b"\x93NUMPY\1\0", LabelMap(("a",)), "is a NumPy array"),
        (png(PLACES[:, :5]), LabelMap(("a",)), "has 5 x 5 pixels, and the picture 5 x 7"),
        (b"no picture", LabelMap(("a",)), "in no known format"),
    ],
)
def test_what_is_no_mask_of_the_kind_is_refused_by_name(content, label_map, sentence):
    with pytest.raises(UnreadableImage, match=rf"^the mask of p\.jpg .*{sentence}"):
        read(content, label_map)


def test_a_colour_beyond_the_palette_is_refused():
    with pytest.raises(UnreadableImage, match=r"has the colour \(-1, -1, -1\)"):
        read(png(PLACES, COLOURS[:3]), COLOUR_MAP)


def test_a_missing_mask_is_refused(tmp_path):
    with pytest.raises(UnreadableImage, match=r"^the mask .*gone\.png can't be read as an image: No such file"):
        read(tmp_path / "gone.png")
    assert read(write(tmp_path / "there.png", PLACES)).tolist() == PLACES.tolist()
