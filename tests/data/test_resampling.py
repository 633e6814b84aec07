"""The parts of pictures that are shown, and resampling: against Pillow on a real photograph and by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from convnets.data.decoding import Picture
from convnets.data.resampling import (
    Part,
    central_part,
    moved,
    nearest,
    part_of_random_shape,
    resized_exactly,
    resized_quickly,
    scaled_part,
)
from convnets.errors import InvalidValue
from tests.data.examples import noise, photograph, read_image, write


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns", "expected"),
    [
        (100, 100, 50, 50, Part(0, 0, 100, 100)),
        (100, 200, 50, 50, Part(0, 50, 100, 100)),
        (200, 100, 50, 50, Part(50, 0, 100, 100)),
        (60, 40, 30, 10, Part(0, 10, 60, 20)),
        (1, 1, 8, 8, Part(0, 0, 1, 1)),
    ],
)
def test_the_centre_covers_the_result(height, width, rows, columns, expected):
    assert central_part(height, width, rows, columns) == expected


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (37, 301), (2, 9)])
def test_the_centre_lies_in_the_picture_and_keeps_its_aspect(height, width):
    part = central_part(height, width, 256, 256)
    assert part.top >= 0 and part.left >= 0
    assert part.top + part.height <= height and part.left + part.width <= width
    # To a pixel of the scaled picture.
    assert part.height == pytest.approx(part.width, abs=min(height, width) / 256)


def test_a_scaled_part_is_a_square_of_the_papers_sizes():
    generator = rng()
    parts = [scaled_part(generator, 375, 500, (256 / 224, 480 / 224)) for _ in range(4000)]
    assert all(part.height == part.width == int(part.height) for part in parts)
    # 224 of a short side brought to S is 375 * 224 / S of the picture's own pixels.
    sides = np.array([part.height for part in parts])
    assert sides.min() == round(375 * 224 / 480) and sides.max() == round(375 * 224 / 256)
    assert np.mean(375 * 224 / sides) == pytest.approx((256 + 480) / 2, rel=0.01)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (200, 200)])
def test_a_part_of_random_shape_has_the_shares_and_aspects_that_were_asked_for(height, width):
    generator = rng(1)
    parts = [part_of_random_shape(generator, height, width, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(3000)]
    for part in parts:
        assert 0 <= part.top <= height - part.height and 0 <= part.left <= width - part.width
        assert part.top == int(part.top) and part.height == int(part.height)
    shares = np.array([part.height * part.width / (height * width) for part in parts])
    aspects = np.array([part.width / part.height for part in parts])
    assert shares.min() > 0.075 and shares.max() > 0.85
    assert np.all((aspects > 0.72) & (aspects < 1.39))


def test_small_parts_of_random_shape_are_uniform_in_area_and_in_the_logarithm_of_their_aspect():
    generator = rng(2)
    parts = [part_of_random_shape(generator, 4000, 4000, (0.1, 0.3), (0.5, 2.0)) for _ in range(4000)]
    shares = np.array([part.height * part.width / 16e6 for part in parts])
    logs = np.log2([part.width / part.height for part in parts])
    np.testing.assert_allclose(np.quantile(shares, [0.25, 0.5, 0.75]), [0.15, 0.2, 0.25], atol=0.006)
    np.testing.assert_allclose(np.quantile(logs, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.06)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 400), (400, 1), (3, 90)])
def test_where_no_part_fits_the_last_is_cut_to_the_picture(height, width):
    for seed in range(50):
        for part in (
            part_of_random_shape(rng(seed), height, width, (0.5, 1.0), (3 / 4, 4 / 3)),
            scaled_part(rng(seed), height, width, (1.0, 2.0)),
        ):
            assert 1 <= part.height <= height and 1 <= part.width <= width
            assert 0 <= part.top <= height - part.height and 0 <= part.left <= width - part.width


BILINEAR = Image.Resampling.BILINEAR


def quickly(picture, part, size):
    result = np.empty((*size, picture.pixels().shape[-1]), np.uint8)
    resized_quickly(picture, part, result)
    return result


def distance(a, b):
    return np.abs(a.astype(int) - b.astype(int))


@pytest.mark.parametrize(("width", "height"), [(500, 375), (333, 500), (512, 600), (256, 300), (300, 200)])
def test_the_evaluated_centre_is_pillows_resize_and_crop_to_one_grey_level(width, height):
    image = photograph(width, height)
    part = central_part(height, width, 256, 256)
    exactly = resized_exactly(np.asarray(image), part, (256, 256))

    scale = 256 / min(width, height)
    whole = image.resize((round(width * scale), round(height * scale)), BILINEAR)
    left, top = (whole.width - 256) // 2, (whole.height - 256) // 2
    expected = np.asarray(whole.crop((left, top, left + 256, top + 256)))
    assert distance(exactly, expected).max() <= 1


@pytest.mark.parametrize("side", [175, 224, 250, 328, 400])
def test_the_quick_way_comes_near_the_exact_one(side):
    image = photograph()
    part = Part(37, 21, side, side)
    difference = distance(
        quickly(Picture(np.asarray(image), "p"), part, (224, 224)), resized_exactly(np.asarray(image), part, (224, 224))
    )
    # Enlarged they are the same to rounding; the more the picture shrinks, the more the antialiasing tells.
    assert difference.mean() < (0.6 if side <= 224 else 3.0)


def test_the_quick_way_of_the_parts_own_size_is_the_part():
    pixels = noise(40, 50)
    np.testing.assert_array_equal(quickly(Picture(pixels, "p"), Part(3, 7, 20, 30), (20, 30)), pixels[3:23, 7:37])


@pytest.mark.parametrize("channels", [1, 3])
def test_what_shrinks_to_less_than_half_is_resized_exactly(channels):
    pixels, part = noise(400, 300, channels), Part(10, 20, 200, 150)
    expected = resized_exactly(pixels, part, (64, 64))
    np.testing.assert_array_equal(quickly(Picture(pixels, "p", channels), part, (64, 64)), expected)


@pytest.mark.parametrize("side", [450, 512])
def test_a_jpeg_that_shrinks_to_less_than_half_stays_near_the_exact_result(side):
    stream = io.BytesIO()
    photograph().save(stream, "JPEG", quality=95)
    picture, part = Picture(stream.getvalue(), "p"), Part(40, 0, side, side)
    exactly = resized_exactly(Picture(stream.getvalue(), "p").pixels(), part, (200, 200))
    skipping = np.asarray(Image.fromarray(picture.pixels()).crop((0, 40, side, 40 + side)).resize((200, 200), 0))
    difference = distance(quickly(picture, part, (200, 200)), exactly)
    assert difference.mean() < 2
    assert difference.mean() < distance(skipping, exactly).mean() / 3


def test_one_channel_stays_one():
    pixels = noise(30, 30, 1)
    three, part = np.repeat(pixels, 3, axis=2), Part(0, 0, 30, 30)
    expected = quickly(Picture(three, "p"), part, (24, 24))[..., :1]
    np.testing.assert_array_equal(quickly(Picture(pixels, "p", 1), part, (24, 24)), expected)
    expected = resized_exactly(three, part, (24, 24))[..., :1]
    np.testing.assert_array_equal(resized_exactly(pixels, part, (24, 24)), expected)


def test_a_mask_takes_the_pixel_that_each_centre_falls_in():
    mask = np.arange(16).reshape(4, 4)
    np.testing.assert_array_equal(nearest(mask, Part(0, 0, 4, 4), (2, 2)), [[5, 7], [13, 15]])
    np.testing.assert_array_equal(nearest(mask, Part(1, 2, 2, 2), (4, 4))[0], [6, 6, 7, 7])
    np.testing.assert_array_equal(nearest(mask, Part(0, 0, 4, 4), (4, 4)), mask)


def test_a_mask_and_its_picture_stay_together():
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[20:40, 30:60] = 255
    part, size = Part(10, 20, 40, 50), (80, 100)
    mask = nearest((pixels[..., 0] > 0).astype(np.int32), part, size)
    np.testing.assert_array_equal(resized_exactly(pixels, part, size)[..., 0] > 127, mask > 0)


def test_boxes_follow_and_what_is_left_of_them_is_clipped():
    boxes = np.array([[10, 10, 30, 30], [0, 0, 12, 12], [50, 50, 60, 60], [0, 0, 0, 0]], np.float32)
    found = moved(boxes, Part(10, 10, 20, 40), (40, 40))
    np.testing.assert_array_equal(found, [[0, 0, 40, 20], [0, 0, 4, 2], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "padding"), [((12, 12, 1), 0), ((16, 16, 3), 2), ((10, 20, 1), 0), ((26, 42, 1), 1), ((2, 2, 3), 0)]
)
def test_a_user_s_picture_is_resized_to_cover_its_centre_cropped_and_framed(tmp_path, shape, padding):
    y, x = np.mgrid[:24, :40]
    grey = (100 + 60 * np.sin(x / 5) + 50 * np.cos(y / 7 + x / 11)).astype(np.uint8)
    height, width = shape[0] - 2 * padding, shape[1] - 2 * padding
    scale = max(height / 24, width / 40)
    covering = Image.fromarray(grey).resize((round(40 * scale), round(24 * scale)), BILINEAR)
    left, top = (covering.width - width) // 2, (covering.height - height) // 2
    expected = np.asarray(covering)[top : top + height, left : left + width]
    image = read_image(write(tmp_path / "a.png", grey), shape, padding)
    inner = image[padding : shape[0] - padding, padding : shape[1] - padding]
    # Cropping before resizing rounds elsewhere than after it, by one level at most.
    assert image.shape == shape and distance(inner, expected[..., None]).max() <= (0 if scale == 1 else 1)
    assert image.sum(dtype=int) == inner.sum(dtype=int)


def test_a_long_strip_is_not_enlarged_as_a_whole(tmp_path):
    # All of it, enlarged, would have 224 x 2,240,000 pixels.
    strip = np.zeros((1, 10_000, 3), np.uint8)
    strip[:, 4_990:5_010] = (0, 0, 255)
    image = read_image(write(tmp_path / "a.png", strip), (224, 224, 3))
    np.testing.assert_array_equal(image, np.full((224, 224, 3), (0, 0, 255)))


@pytest.mark.parametrize(("shape", "padding"), [((8, 8, 2), 0), ((8, 8, 4), 0), ((8, 8, 3), 4), ((8, 8, 3), -1)])
def test_shapes_without_room_for_a_picture_are_refused(tmp_path, shape, padding):
    with pytest.raises(InvalidValue, match=r"images have 1 channel|leaves no picture"):
        read_image(tmp_path / "unread.png", shape, padding)
