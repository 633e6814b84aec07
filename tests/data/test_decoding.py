"""Decoding, against Pillow's own pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from convnets.data.decoding import Picture, UnreadableImage
from tests.data.examples import encoded, photograph


def with_orientation(image, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, exif=exif, **options)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpegs_pixels_are_pillows(subsampling, progressive, channels):
    content = encoded(photograph(203, 151), quality=85, subsampling=subsampling, progressive=progressive)
    picture = Picture(content, "a.jpg", channels)
    assert (picture.height, picture.width) == (151, 203)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("L" if channels == 1 else "RGB"))
    np.testing.assert_array_equal(picture.pixels(), expected.reshape(151, 203, channels))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_jpegs_pixels_are_pillows(channels):
    content = encoded(photograph(64, 48).convert("L"))
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("L" if channels == 1 else "RGB"))
    np.testing.assert_array_equal(Picture(content, "a.jpg", channels).pixels(), expected.reshape(48, 64, channels))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_jpeg_has_the_size_and_pixels_of_the_upright_picture(orientation):
    content = with_orientation(photograph(64, 48), orientation)
    stored = Image.open(io.BytesIO(content)).convert("RGB")
    turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
    expected = np.rot90(np.asarray(stored), turns)
    picture = Picture(content, "a.jpg")
    assert (picture.height, picture.width) == expected.shape[:2]
    np.testing.assert_array_equal(picture.pixels(), expected)


def test_orientation_is_found_behind_other_segments():
    content = with_orientation(photograph(64, 48), 6, icc_profile=b"x" * 70_000, comment=b"a comment", dpi=(72, 72))
    assert (Picture(content, "a.jpg").height, Picture(content, "a.jpg").width) == (64, 48)


def test_an_orientation_in_xmp_is_that_of_pillow():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    content = encoded(photograph(64, 48), xmp=xmp)
    assert (Picture(content, "a.jpg").height, Picture(content, "a.jpg").width) == (64, 48)


def test_a_header_that_claims_a_size_that_no_camera_makes_is_refused_before_memory_is_asked_for():
    content = bytearray(encoded(photograph(64, 48)))
    start = content.index(b"\xff\xc0")
    content[start + 5 : start + 9] = b"\xff\xdc\xff\xdc"
    with pytest.raises(UnreadableImage, match=r"^a\.jpg can't be read as an image: Image size"):
        Picture(bytes(content), "a.jpg").pixels()


@pytest.mark.parametrize(
    "content", [b"\xff\xd8\xff", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xff", b"\xff\xd8\xff\xe1\x00\x00"]
)
def test_a_jpeg_that_ends_within_its_headers_is_unreadable(content):
    with pytest.raises(UnreadableImage, match=r"^a\.jpg can't be read as an image"):
        Picture(content, "a.jpg")


@pytest.mark.parametrize(("shrink", "part"), [(1.0, 1), (1.9, 1), (2.0, 2), (3.9, 2), (4.0, 4), (100.0, 8)])
def test_a_jpeg_that_will_shrink_is_decoded_at_the_mean_of_its_pixels(shrink, part):
    content = encoded(photograph(400, 320), quality=95, subsampling="4:4:4")
    small = Picture(content, "a.jpg").pixels(shrink)
    expected = Image.open(io.BytesIO(content)).reduce(part)
    assert small.shape == (320 // part, 400 // part, 3)
    assert np.abs(small.astype(int) - np.asarray(expected)).mean() < 1.5


def test_faults_that_viewers_overlook_are_overlooked():
    content = encoded(photograph(64, 48))
    # Stray bytes between the scan and the end, of which libjpeg warns.
    faulty = content[:-2] + b"\x00\x00\x00" + content[-2:]
    np.testing.assert_array_equal(Picture(faulty, "a.jpg").pixels(), Picture(content, "a.jpg").pixels())


def test_a_truncated_jpeg_is_unreadable_by_name():
    content = encoded(photograph(64, 48))
    with pytest.raises(UnreadableImage, match=r"^photos/a\.jpg can't be read as an image: .*runcated"):
        Picture(content[: len(content) // 2], "photos/a.jpg").pixels()


def test_cmyk_goes_by_pillows_conversion():
    content = encoded(photograph(64, 48).convert("CMYK"))
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(Picture(content, "a.jpg").pixels(), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_decoded_pixels_are_taken_as_they_are_or_converted(channels):
    colours = np.asarray(photograph(8, 6))
    grey = np.asarray(photograph(8, 6).convert("L"))[..., None]
    expected = {1: grey, 3: colours}[channels]
    np.testing.assert_array_equal(Picture(colours, "pixels", channels).pixels(), expected)
    assert Picture(grey, "pixels", channels).pixels().shape == (6, 8, channels)


def test_a_file_that_is_missing_is_unreadable_by_name(tmp_path):
    with pytest.raises(UnreadableImage, match=r"^gone can't be read as an image: No such file"):
        Picture(tmp_path / "gone.jpg", "gone")
