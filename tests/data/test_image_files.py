"""Users' pictures: which files are found, and what is read from them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convnets.data.decoding import UnreadableImage
from convnets.data.image_files import find_images, read_image
from convnets.errors import InvalidValue

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def check_sentence(text: str) -> None:
    assert text and "\n" not in text and ". " not in text


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


@pytest.fixture
def grey() -> np.ndarray:
    """A smooth 24 x 40 picture with no symmetry."""
    y, x = np.mgrid[:24, :40]
    return (100 + 60 * np.sin(x / 5) + 50 * np.cos(y / 7 + x / 11)).astype(np.uint8)


# Finding.


def test_folders_are_searched_below_and_sorted_and_files_kept_in_the_order_given(tmp_path):
    for name in ("b/z.JPG", "b/a.png", "a/deep/er.webp", "a.gif", "notes.txt", ".hidden.png", "last.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    last = tmp_path / "last.bmp"
    below = [tmp_path / name for name in ("a/deep/er.webp", "a.gif", "b/a.png", "b/z.JPG", "last.bmp")]
    assert find_images([last, tmp_path]) == [last, *below]
    assert find_images([str(tmp_path / "b" / "z.JPG")]) == [tmp_path / "b" / "z.JPG"]


@pytest.mark.parametrize("name", ["missing.png", "missing/", "notes.txt", "empty", "no_suffix"])
def test_paths_without_images_are_refused_by_name(tmp_path, name):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "no_suffix").touch()
    (tmp_path / "empty" / "below").mkdir(parents=True)
    (tmp_path / "good.png").touch()
    with pytest.raises(InvalidValue) as error:
        find_images([tmp_path / "good.png", tmp_path / name])
    check_sentence(str(error.value))
    assert str(tmp_path / name) in str(error.value)


def test_no_path_at_all_is_refused():
    with pytest.raises(InvalidValue, match="no image was given"):
        find_images([])


# Geometry.


def test_a_picture_of_the_inner_size_is_only_framed(tmp_path):
    pixels = np.random.default_rng(0).integers(1, 256, (28, 28), dtype=np.uint8)
    image = read_image(save(tmp_path / "a.png", pixels), (32, 32, 1), padding=2)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[..., 0], np.pad(pixels, 2))


@pytest.mark.parametrize(("shape", "padding"), [((12, 12, 1), 0), ((16, 16, 3), 2), ((10, 20, 1), 0), ((20, 10, 3), 1)])
def test_the_picture_is_resized_to_cover_and_its_centre_cropped(tmp_path, grey, shape, padding):
    height, width = shape[0] - 2 * padding, shape[1] - 2 * padding
    scale = max(height / 24, width / 40)
    covering = Image.fromarray(grey).resize((round(40 * scale), round(24 * scale)), Image.Resampling.BILINEAR)
    left, top = (covering.width - width) // 2, (covering.height - height) // 2
    expected = np.asarray(covering)[top : top + height, left : left + width]
    image = read_image(save(tmp_path / "a.png", grey), shape, padding)
    assert image.shape == shape
    inner = image[padding : shape[0] - padding, padding : shape[1] - padding]
    # Cropping before resizing rounds elsewhere than after it, by one level at most.
    assert np.abs(inner.astype(int) - expected[..., None].astype(int)).max() <= 1
    assert image.sum(dtype=int) == inner.sum(dtype=int)


def test_a_long_strip_is_not_enlarged_as_a_whole(tmp_path):
    # All of it, enlarged, would have 224 x 2,240,000 pixels.
    strip = np.zeros((1, 10_000, 3), np.uint8)
    strip[:, 4_990:5_010] = BLUE
    image = read_image(save(tmp_path / "a.png", strip), (224, 224, 3))
    np.testing.assert_array_equal(image, np.full((224, 224, 3), BLUE))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 2)])
def test_tiny_pictures_fill_the_shape(tmp_path, size):
    image = read_image(save(tmp_path / "a.png", np.full(size, 90, np.uint8)), (5, 5, 1))
    np.testing.assert_array_equal(image, np.full((5, 5, 1), 90))


# What a viewer shows.


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


def test_grey_with_alpha_is_composited(tmp_path):
    path = save(tmp_path / "a.png", np.array([[[0, 0], [0, 255]]], np.uint8), "LA")
    np.testing.assert_array_equal(read_image(path, (1, 2, 1))[..., 0], [[255, 0]])


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    deep = np.array([[0, 257 * 100, 257 * 200 + 100, 65535]], np.uint16)
    image = read_image(save(tmp_path / "a.png", deep), (1, 4, 1))
    np.testing.assert_array_equal(image[..., 0], [[0, 100, 200, 255]])


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, from filtered rows (PNG specification, chapters 5 and 11)."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_sixteen_bit_colour_is_scaled_to_eight(tmp_path):
    colours = np.array([[65535, 0, 0], [0, 257 * 100, 257 * 7]], ">u2")
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, b"\0" + colours.tobytes()))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", (1, 2, 3)), [[RED, (0, 100, 7)]])


def test_one_bit_is_black_and_white(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 255], [255, 0]], np.uint8), "1")
    np.testing.assert_array_equal(read_image(path, (2, 2, 1))[..., 0], [[0, 255], [255, 0]])


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        image = read_image(tmp_path / name, (4, 4, 3))
        np.testing.assert_array_equal(image, np.full((4, 4, 3), RED), err_msg=name)


# Refusing.


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif"])
@pytest.mark.parametrize("damage", ["empty", "text", "header only", "half"])
def test_what_cannot_be_decoded_is_refused_by_name(tmp_path, suffix, damage):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, {"jpg": "JPEG"}.get(suffix, suffix))
    good = stream.getvalue()
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(
        {"empty": b"", "text": b"hello" * 50, "header only": good[:20], "half": good[: len(good) // 2]}[damage]
    )
    with pytest.raises(UnreadableImage) as error:
        read_image(path, (8, 8, 3))
    check_sentence(str(error.value))
    assert str(path) in str(error.value) and isinstance(error.value, ValueError)


def test_a_picture_of_a_size_that_no_camera_makes_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(20_000, 20_000, 8, 0, b""))
    with pytest.raises(UnreadableImage, match=r"a\.png can't be read as an image: Image size") as error:
        read_image(tmp_path / "a.png", (8, 8, 3))
    check_sentence(str(error.value))


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    for path in (tmp_path / "missing.png", tmp_path):
        with pytest.raises(UnreadableImage, match=str(path)) as error:
            read_image(path, (8, 8, 3))
        check_sentence(str(error.value))


@pytest.mark.parametrize(("shape", "padding"), [((8, 8, 2), 0), ((8, 8, 4), 0), ((8, 8, 3), 4), ((8, 8, 3), -1)])
def test_shapes_without_room_for_a_picture_are_refused(tmp_path, shape, padding):
    with pytest.raises(InvalidValue) as error:
        read_image(tmp_path / "unread.png", shape, padding)
    assert not isinstance(error.value, UnreadableImage)
    check_sentence(str(error.value))
