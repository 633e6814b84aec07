"""Resampling, against Pillow on a real photograph and against counting by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from convnets.data.decoding import Picture
from convnets.data.resampling import Part, central_part, moved, nearest, resized_exactly, resized_quickly
from tests.data.photograph import noise, photograph

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
