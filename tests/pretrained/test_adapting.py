"""Filters adapted to images of other channels and sizes."""

import numpy as np
import pytest
from scipy.signal import correlate

from convnets.pretrained.adapting import adapt_stem

KERNEL = np.random.default_rng(0).normal(size=(7, 7, 3, 8)).astype(np.float32)


def response(kernel: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Of the first filter to an image `[H, W, C]`."""
    return correlate(image.astype(np.float64), kernel[..., 0].astype(np.float64), "valid")[..., 0]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7])
def test_an_image_alike_in_all_channels_gives_the_response_of_one_alike_in_the_old_ones(channels):
    gray = np.random.default_rng(1).normal(size=(12, 12, 1))
    adapted, _ = adapt_stem(KERNEL, 7, channels)
    assert adapted.shape == (7, 7, channels, 8) and adapted.dtype == np.float32
    given, expected = response(adapted, gray.repeat(channels, -1)), response(KERNEL, gray.repeat(3, -1))
    np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "expected", "words"),
    [
        (1, lambda r, g, b: [r + g + b], "3 channels summed"),
        (2, lambda r, g, b: [r + b, g], "3 channels shared out to 2"),
        (4, lambda r, g, b: [r / 2, g, b, r / 2], "3 channels shared out to 4"),
        (6, lambda r, g, b: [r / 2, g / 2, b / 2] * 2, "3 channels shared out to 6"),
    ],
)
def test_red_green_and_blue_are_shared_out_in_turn(channels, expected, words):
    adapted, said = adapt_stem(KERNEL, 7, channels)
    np.testing.assert_allclose(adapted, np.stack(expected(*np.moveaxis(KERNEL, 2, 0)), 2), atol=1e-6)
    assert said == words


def test_filters_for_gray_images_see_colour_by_a_third_in_each_channel():
    gray = KERNEL[:, :, :1]
    np.testing.assert_allclose(adapt_stem(gray, 7, 3)[0], gray.repeat(3, 2) / 3, rtol=1e-6)


@pytest.mark.parametrize("size", [3, 5, 7, 11])
def test_the_response_to_an_even_patch_is_kept_at_another_size(size):
    adapted, _ = adapt_stem(KERNEL, size, 3)
    assert adapted.shape == (size, size, 3, 8)
    np.testing.assert_allclose(adapted.sum((0, 1)), KERNEL.sum((0, 1)), atol=1e-5)


def test_seven_pixels_lie_in_three_by_their_area():
    """A row of 1 to 7: three pixels of 7/3 each, whose borders cut the third and the fifth."""
    row = np.arange(1, 8, dtype=np.float32)
    kernel = (row[:, None] * row).reshape(7, 7, 1, 1)
    thirds = np.array([1 + 2 + 3 / 3, 3 * 2 / 3 + 4 + 5 * 2 / 3, 5 / 3 + 6 + 7])
    adapted, said = adapt_stem(kernel, 3, 1)
    np.testing.assert_allclose(adapted[..., 0, 0], np.outer(thirds, thirds), rtol=1e-6)
    assert said == "7x7 filters shared out to 3x3"


def test_both_at_once_are_said_and_filters_of_the_same_kind_stay_as_they_are():
    assert adapt_stem(KERNEL, 3, 1)[1] == "3 channels summed, 7x7 filters shared out to 3x3"
    same, said = adapt_stem(KERNEL, 7, 3)
    np.testing.assert_array_equal(same, KERNEL)
    assert said == ""
