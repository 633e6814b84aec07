"""Crops and mirror images, with their masks and boxes, against slices in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_examples import is_share, painted, under_keys
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from convnets.augment.crop import crop_at, flip, mirror, pad_and_crop, random_crop
from convnets.data.label_map import IGNORED

HEIGHT, WIDTH = 6, 8


def scene() -> dict[str, np.ndarray]:
    """Every pixel has a value of its own, above 0, and the two boxes are painted into the mask."""
    image = np.arange(1, 1 + HEIGHT * WIDTH * 2).reshape(HEIGHT, WIDTH, 2).astype(np.float32)
    mask = np.zeros((HEIGHT, WIDTH), np.int32)
    mask[1:4, 2:5], mask[4:6, 5:8] = 1, 2
    boxes = np.array([[1, 2, 4, 5], [4, 5, 6, 8]], np.float32)
    return {"image": image, "mask": mask, "boxes": boxes, "label": np.int32(4)}


jitted_crop = jax.jit(crop_at, static_argnums=(3, 4))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, HEIGHT - 4), st.integers(0, WIDTH - 5))
def test_image_mask_and_boxes_are_cut_at_the_same_place(top, left):
    whole = scene()
    part = jitted_crop(whole, top, left, 4, 5)
    np.testing.assert_array_equal(part["image"], whole["image"][top : top + 4, left : left + 5])
    np.testing.assert_array_equal(part["mask"], whole["mask"][top : top + 4, left : left + 5])
    assert part["label"] == 4
    for number, box in enumerate(np.asarray(part["boxes"]), 1):
        rows, columns = np.nonzero(np.asarray(part["mask"]) == number)
        y0, x0, y1, x1 = box
        assert 0 <= y0 <= y1 <= 4 and 0 <= x0 <= x1 <= 5
        if rows.size:
            assert (y0, x0, y1, x1) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        else:
            assert (y0, x0, y1, x1) == (0, 0, 0, 0), "a box that is cut off is marked"


def test_boxes_may_lie_between_pixels():
    whole = {"image": jnp.zeros((6, 8, 1)), "boxes": jnp.array([[0.5, 2.25, 5.75, 7.5]])}
    part = crop_at(whole, jnp.int32(1), jnp.int32(2), 4, 5)
    np.testing.assert_array_equal(part["boxes"], [[0, 0.25, 4, 5]])


def test_a_crop_is_a_window_of_the_image_among_zeros_its_mask_ignored_there_and_its_boxes_moved():
    whole, padding = scene(), 3
    image = np.pad(whole["image"], ((padding, padding), (padding, padding), (0, 0)))
    mask = np.pad(whole["mask"], padding, constant_values=255)
    assert IGNORED == 255
    windows = {
        image[top : top + HEIGHT, left : left + WIDTH].tobytes(): (top, left)
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    }
    assert len(windows) == 49
    results = under_keys(pad_and_crop, whole, 200, padding=padding)
    for number in range(200):
        top, left = windows[results["image"][number].tobytes()]
        np.testing.assert_array_equal(results["mask"][number], mask[top : top + HEIGHT, left : left + WIDTH])
        down, right = padding - top, padding - left
        moved = whole["boxes"] + [down, right, down, right]
        left_of_them = np.minimum(np.maximum(moved, 0), [HEIGHT, WIDTH, HEIGHT, WIDTH])
        left_of_them[(left_of_them[:, 2:] <= left_of_them[:, :2]).any(1)] = 0
        np.testing.assert_array_equal(results["boxes"][number], left_of_them)


def test_every_place_is_equally_likely():
    """With 1 pixel of padding there are 9 places; the first pixel of the image or a zero tells which."""
    images = under_keys(pad_and_crop, scene(), 3600, padding=1)["image"]
    _, times = np.unique(images.reshape(3600, -1), axis=0, return_counts=True)
    assert len(times) == 9
    assert chisquare(times).pvalue > 1e-3


def test_without_padding_nothing_is_cropped():
    cropped = pad_and_crop(jax.random.key(0), scene(), padding=0)
    for field, value in scene().items():
        np.testing.assert_array_equal(cropped[field], value)


def test_a_random_crop_is_one_of_the_windows_each_as_likely():
    results = under_keys(random_crop, scene(), 3000, size=(4, 6))
    firsts, times = np.unique(results["image"][:, 0, 0, 0], return_counts=True)
    assert len(firsts) == 3 * 3
    assert chisquare(times).pvalue > 1e-3
    whole = scene()
    for number in range(50):
        top, left = (int(place[0]) for place in np.nonzero(whole["image"][..., 0] == results["image"][number, 0, 0, 0]))
        part = jitted_crop(whole, top, left, 4, 6)
        for field in ("image", "mask", "boxes"):
            np.testing.assert_array_equal(results[field][number], part[field])


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        # Seven eighths of 6 are 5.25, of 8 are 7.
        ({}, (5, 7)),
        ({"size": 3}, (3, 3)),
        ({"size": (0, 2)}, (5, 2)),
        ({"size": [6, 8]}, (6, 8)),
        ({"share": 0.5}, (3, 4)),
        ({"share": 0.01}, (1, 1)),
    ],
)
def test_a_random_crop_has_the_size_that_is_asked_for(options, shape):
    result = jax.eval_shape(lambda: random_crop(jax.random.key(0), scene(), **options))
    assert result["image"].shape == (*shape, 2) and result["mask"].shape == shape


def test_a_crop_of_all_is_all():
    whole = scene()
    for field, value in random_crop(jax.random.key(0), whole, share=1.0).items():
        np.testing.assert_array_equal(value, whole[field])


def test_image_mask_and_boxes_are_mirrored_together():
    given = painted()
    mirrored = mirror(jax.tree.map(jnp.asarray, given))
    np.testing.assert_array_equal(mirrored["image"], np.flip(given["image"], axis=1))
    np.testing.assert_array_equal(mirrored["mask"], np.fliplr(given["mask"]))
    np.testing.assert_array_equal(mirrored["boxes"][:2], [[4, 23, 20, 35], [3, 2, 15, 16]])


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1.0])
def test_so_many_are_mirrored_and_never_in_part(probability):
    given = scene()
    results = under_keys(flip, given, 4000, probability=probability)
    flipped = (results["image"] == np.flip(given["image"], 1)).all((1, 2, 3))
    kept = (results["image"] == given["image"]).all((1, 2, 3))
    assert np.all(flipped ^ kept)
    np.testing.assert_array_equal((results["mask"] == np.fliplr(given["mask"])).all((1, 2)), flipped)
    np.testing.assert_array_equal((results["boxes"] == [[1, 3, 4, 6], [4, 0, 6, 3]]).all((1, 2)), flipped)
    assert is_share(flipped.sum(), 4000, probability)
