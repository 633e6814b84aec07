"""Decoding: Pillow's own pixels, as a viewer shows them, and what is refused."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convnets.data.decoding import Picture, UnreadableImage
from tests.data.examples import encoded, noise, photograph, read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def with_orientation(image, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, exif=exif, **options)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "grey"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpegs_pixels_are_pillows(subsampling, progressive, channels):
    if subsampling == "grey":
        content = encoded(photograph(203, 151).convert("L"), progressive=progressive)
    else:
        content = encoded(photograph(203, 151), quality=85, subsampling=subsampling, progressive=progressive)
    picture = Picture(content, "a.jpg", channels)
    assert (picture.height, picture.width) == (151, 203)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("L" if channels == 1 else "RGB"))
    np.testing.assert_array_equal(picture.pixels(), expected.reshape(151, 203, channels))


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


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, from filtered rows (PNG specification, chapters 5 and 11)."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    seen = np.arange(9, dtype=np.uint8).reshape(3, 3) * 25
    # How each stores the picture to be seen; EXIF 2.3, tag 274, names the sides that row 0 and column 0 are.
    stored = {
        1: seen,
        2: seen[:, ::-1],  # top, right
        3: seen[::-1, ::-1],  # bottom, right
        4: seen[::-1],  # bottom, left
        5: seen.T,  # left, top
        6: seen.T[::-1],  # right, top
        7: seen.T[::-1, ::-1],  # right, bottom
        8: seen.T[:, ::-1],  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(read_image(path, (3, 3, 1))[..., 0], seen)


def test_colours_are_kept_and_greyed_by_their_luma(tmp_path):
    pixels = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8)
    path = save(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_image(path, (2, 2, 3)), pixels)
    luma = np.rint(pixels @ [0.299, 0.587, 0.114])
    np.testing.assert_array_equal(read_image(path, (2, 2, 1))[..., 0], luma)


def test_palettes_are_looked_up(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    image.putpalette([*GREEN, *RED])
    for name in ("a.png", "a.gif", "a.bmp"):
        image.save(tmp_path / name)
        np.testing.assert_array_equal(
            read_image(tmp_path / name, (2, 2, 3)), [[GREEN, RED], [RED, GREEN]], err_msg=name
        )


def test_transparency_lets_white_through(tmp_path):
    pixels = np.array([[[200, 0, 0, 255], [200, 0, 0, 0]], [[200, 0, 0, 128], [0, 0, 0, 0]]], np.uint8)
    expected = np.rint(255 + (pixels[..., :3] - 255.0) * pixels[..., 3:] / 255)
    for name in ("a.png", "a.webp"):
        path = save(tmp_path / name, pixels, lossless=True)
        assert np.abs(read_image(path, (2, 2, 3)) - expected).max() <= 1, name
    grey = save(tmp_path / "grey.png", np.array([[[0, 0], [0, 255]]], np.uint8), "LA")
    np.testing.assert_array_equal(read_image(grey, (1, 2, 1))[..., 0], [[255, 0]])


@pytest.mark.parametrize(("mode", "clear"), [("L", 10), ("RGB", (10, 10, 10)), ("P", 0), ("I;16", 2570)])
def test_a_colour_declared_transparent_is_white(tmp_path, mode, clear):
    if mode == "I;16":
        image = Image.fromarray(np.array([[2570, 51400]], np.uint16))
    elif mode == "P":
        image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
        image.putpalette([10, 10, 10, 200, 200, 200])
    else:
        image = Image.fromarray(np.array([[10, 200]], np.uint8)).convert(mode)
    image.save(tmp_path / "a.png", transparency=clear)
    shown = read_image(tmp_path / "a.png", (1, 2, 1))
    np.testing.assert_array_equal(shown[..., 0], [[255, 200]])


def test_other_depths_are_scaled_to_eight_bits(tmp_path):
    deep = np.array([[0, 257 * 100, 257 * 200 + 100, 65535]], np.uint16)
    image = read_image(save(tmp_path / "a.png", deep), (1, 4, 1))
    np.testing.assert_array_equal(image[..., 0], [[0, 100, 200, 255]])
    colours = np.array([[65535, 0, 0], [0, 257 * 100, 257 * 7]], ">u2")
    (tmp_path / "b.png").write_bytes(png(2, 1, 16, 2, b"\0" + colours.tobytes()))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png", (1, 2, 3)), [[RED, (0, 100, 7)]])
    one_bit = save(tmp_path / "c.png", np.array([[0, 255], [255, 0]], np.uint8), "1")
    np.testing.assert_array_equal(read_image(one_bit, (2, 2, 1))[..., 0], [[0, 255], [255, 0]])


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        image = read_image(tmp_path / name, (4, 4, 3))
        np.testing.assert_array_equal(image, np.full((4, 4, 3), RED), err_msg=name)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "bmp", "gif"])
@pytest.mark.parametrize("damage", ["empty", "text", "header only", "half"])
def test_what_cannot_be_decoded_is_refused_by_name(tmp_path, suffix, damage):
    good = encoded(Image.fromarray(noise(40, 40)), suffix)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(
        {"empty": b"", "text": b"hello" * 50, "header only": good[:20], "half": good[: len(good) // 2]}[damage]
    )
    with pytest.raises(UnreadableImage, match=rf"^{path} can't be read as an image: [^\n]*[^.]$"):
        read_image(path, (8, 8, 3))


def test_a_picture_of_a_size_that_no_camera_makes_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(20_000, 20_000, 8, 0, b""))
    with pytest.raises(UnreadableImage, match=r"a\.png can't be read as an image: Image size"):
        read_image(tmp_path / "a.png", (8, 8, 3))


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    for path in (tmp_path / "missing.png", tmp_path):
        with pytest.raises(UnreadableImage, match=str(path)):
            read_image(path, (8, 8, 3))
