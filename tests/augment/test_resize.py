"""Resized pictures and parts, against Pillow; random parts, read back from two ramps in the image."""

from typing import Any

import jax
import numpy as np
import pytest
from drawn_examples import HEIGHT, WIDTH, check_agreement, is_uniform, painted, under_keys
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convnets.augment.resize import random_resized_crop, resize, resized_crop, scale_and_crop

jitted_resize = jax.jit(resize, static_argnums=(1, 2))
jitted_crop = jax.jit(resized_crop, static_argnums=5)


def pillows(image: np.ndarray, size: tuple[int, int], box: tuple[float, ...] | None = None) -> np.ndarray:
    """Channel by channel, for Pillow's float images have one."""
    channels = np.moveaxis(image, -1, 0)
    resized = [Image.fromarray(channel).resize(size[::-1], Image.Resampling.BILINEAR, box=box) for channel in channels]
    return np.stack([np.asarray(channel) for channel in resized], axis=-1)


def noise(height: int = 23, width: int = 17) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [(46, 34), (5, 40), (1, 1)])
def test_an_image_is_resized_as_pillow_does(size):
    result = jitted_resize({"image": noise()}, *size)["image"]
    np.testing.assert_allclose(result, pillows(noise(), size), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 9), st.floats(0, 8), st.floats(2, 14), st.floats(2, 9))
def test_a_part_between_pixels_is_pillows_box(top, left, height, width):
    box = (left, top, left + width, top + height)
    result = jitted_crop({"image": noise()}, top, left, height, width, (9, 6))["image"]
    np.testing.assert_allclose(result, pillows(noise(), (9, 6), box), atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 20), st.floats(0, 18), st.floats(6, 28), st.floats(6, 22))
def test_image_mask_and_boxes_are_cut_and_scaled_together(top, left, height, width):
    part = jax.tree.map(np.asarray, jitted_crop(painted(), top, left, height, width, (HEIGHT, WIDTH)))
    check_agreement(part, slack=0.51, blur=int(np.ceil(max(HEIGHT / height, WIDTH / width))))
    row = np.floor(top + (np.arange(HEIGHT) + 0.5) * height / HEIGHT + 1e-9).astype(int)
    column = np.floor(left + (np.arange(WIDTH) + 0.5) * width / WIDTH + 1e-9).astype(int)
    assert (part["mask"] == painted()["mask"][np.ix_(row, column)]).mean() > 0.95


@pytest.mark.parametrize("size", [(24, 20), (31, 77)])
def test_the_whole_is_resized_with_its_mask_and_boxes(size):
    result = jax.tree.map(np.asarray, jitted_resize(painted(), *size))
    assert check_agreement(result, slack=0.51, blur=2) == 4
    factors = [size[0] / HEIGHT, size[1] / WIDTH] * 2
    np.testing.assert_allclose(result["boxes"], painted()["boxes"] * factors, rtol=1e-5)


def test_at_its_own_size_every_bit_stays():
    result = jitted_resize(painted(), HEIGHT, WIDTH)
    for field, value in painted().items():
        np.testing.assert_array_equal(result[field], value)


COUNT = 1500


def parts(function: Any, height: int, width: int, **options: Any) -> np.ndarray:
    """Under 1,500 keys the part that was taken: `[N, 4]` of top, left, height, width.

    Where a picture is enlarged, linear interpolation leaves ramps alone, so that two rows and two columns within the
    result tell where it comes from.
    """
    y, x = np.mgrid[:height, :width] + 0.5
    ramps = {"image": np.stack([y / height, x / width], axis=-1).astype(np.float32)}
    images = under_keys(function, ramps, COUNT, **options)["image"].astype(np.float64) * [height, width]
    rows, columns = images.shape[1:3]
    first, last = np.array([rows, columns]) // 4, np.array([rows, columns]) * 3 // 4
    here, there = images[:, first[0], first[1]], images[:, last[0], last[1]]
    step = (there - here) / (last - first)
    return np.concatenate([here - (first + 0.5) * step, [rows, columns] * step], axis=1)


def test_the_share_of_the_area_is_uniform_and_every_place_as_likely():
    top, left, height, width = parts(random_resized_crop, 32, 32, aspect=(1.0, 1.0), area=(0.2, 0.9)).T
    assert is_uniform(height * width / 32**2, 0.2, 0.9)
    np.testing.assert_allclose(height, width, rtol=1e-4)
    assert is_uniform(top / (32 - height), 0, 1) and is_uniform(left / (32 - width), 0, 1)
    assert abs(np.corrcoef(top / (32 - height), left / (32 - width))[0, 1]) < 0.1


def test_the_aspect_is_log_uniform_and_of_width_to_height():
    _, _, height, width = parts(random_resized_crop, 32, 48, area=(0.25, 0.25), aspect=(0.5, 1.5)).T
    assert is_uniform(np.log(width / height), np.log(0.5), np.log(1.5))
    np.testing.assert_allclose(height * width, 32 * 48 / 4, rtol=1e-4)


def test_a_part_that_does_not_fit_is_drawn_again():
    """Half of a square at an aspect of up to 8: two of three are too wide; those that fit stay as likely.

    Ten in a row are too wide in 2 cases of 100, which are then cut.
    """
    _, _, height, width = parts(random_resized_crop, 32, 32, area=(0.5, 0.5), aspect=(1.0, 8.0)).T
    cut = height * width < 511
    assert 0 < cut.mean() < 0.04
    assert is_uniform(np.log(width / height)[~cut], 0, np.log(2))


def test_where_none_fits_it_is_cut_to_the_picture():
    top, left, height, width = parts(random_resized_crop, 32, 32, area=(1.0, 1.0), aspect=(2.0, 2.0)).T
    np.testing.assert_allclose(width, 32, atol=1e-3)
    np.testing.assert_allclose(height, 32 / 2**0.5, atol=1e-3)
    np.testing.assert_allclose(left, 0, atol=1e-3)
    assert is_uniform(top / (32 - height), 0, 1)


def test_the_scale_before_a_crop_is_uniform_and_every_place_as_likely():
    """In units of ResNet's 224: the shorter side becomes 256 to 480."""
    top, left, height, width = parts(scale_and_crop, 16, 12, size=28).T
    assert is_uniform(224 * 12 / width, 256, 480)
    np.testing.assert_allclose(height, width, rtol=1e-4)
    assert is_uniform(top / (16 - height), 0, 1) and is_uniform(left / (12 - width), 0, 1)


@pytest.mark.parametrize(
    ("size", "shape"), [((0, 0), (48, 40)), (0, (48, 40)), (16, (16, 16)), ((8, 0), (8, 40)), ([6, 50], (6, 50))]
)
@pytest.mark.parametrize("function", [random_resized_crop, scale_and_crop])
def test_the_result_has_the_size_that_is_asked_for(function, size, shape):
    result = jax.eval_shape(lambda: function(jax.random.key(0), painted(), size=size))
    assert result["image"].shape == (*shape, 2) and result["mask"].shape == shape
    assert result["boxes"].shape == (4, 4)


@pytest.mark.parametrize(
    ("function", "options"),
    [(random_resized_crop, {"area": (1.0, 1.0), "aspect": (1.0, 1.0)}), (scale_and_crop, {"scale": (1.0, 1.0)})],
)
def test_at_no_strength_nothing_changes(function, options):
    example = {"image": noise(20, 20), "boxes": np.float32([[1, 2, 7, 8]])}
    result = jax.jit(lambda key: function(key, example, **options))(jax.random.key(0))
    np.testing.assert_allclose(result["image"], example["image"], atol=1e-6)
    np.testing.assert_allclose(result["boxes"], example["boxes"], atol=1e-5)
