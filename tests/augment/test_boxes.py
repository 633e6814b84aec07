"""Boxes clipped, marked, surrounding, against NumPy and another algorithm; and boxes that follow their image."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_examples import HEIGHT as TALL
from drawn_examples import WIDTH as WIDE
from drawn_examples import check_agreement, painted, under_keys
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.augment import compose, transforms
from convnets.augment.boxes import clipped, corners, is_empty, outlines, surrounding
from convnets.augment.crop import crop_at, mirror
from convnets.augment.lens import Lens, distort
from convnets.augment.mixing import MIXTURES
from convnets.augment.motions import (
    about_centre,
    chain,
    inverse,
    moved,
    rotation,
    scaling,
    shearing,
    translation,
    warp_by,
)
from convnets.augment.resize import resize, resized_crop
from convnets.augment.warp import warp

HEIGHT, WIDTH = 12, 18

jitted_clip = jax.jit(clipped, static_argnums=(1, 2))
coordinate = st.floats(-30, 30, width=32, allow_subnormal=False)
side = st.floats(1, 18)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), min_size=2, max_size=2))
def test_boxes_are_clipped_and_those_without_area_marked(boxes):
    result = np.asarray(jitted_clip(np.array(boxes, np.float32), HEIGHT, WIDTH))
    for (y0, x0, y1, x1), clip in zip(boxes, result, strict=True):
        expected = (max(y0, 0), max(x0, 0), min(y1, HEIGHT), min(x1, WIDTH))
        if expected[2] <= expected[0] or expected[3] <= expected[1]:
            expected = (0, 0, 0, 0)
        np.testing.assert_array_equal(clip, np.float32(expected))
    np.testing.assert_array_equal(jitted_clip(result, HEIGHT, WIDTH), result)
    np.testing.assert_array_equal(is_empty(result), (result == 0).all(-1))


def test_outlines_run_around_the_box_from_its_first_corner():
    y, x = outlines(jnp.array([[1.0, 2, 5, 10]]), 2)
    np.testing.assert_array_equal(y, [[1, 1, 1, 3, 5, 5, 5, 3]])
    np.testing.assert_array_equal(x, [[2, 6, 10, 10, 10, 6, 2, 2]])
    np.testing.assert_array_equal(outlines(jnp.array([[1.0, 2, 5, 10]]), 1), [[[1, 1, 5, 5]], [[2, 10, 10, 2]]])


@functools.partial(jax.jit, static_argnums=(1, 2))
def turned(box: jax.Array, height: int, width: int, degrees: float, down: float, right: float) -> jax.Array:
    matrix = about_centre(chain(rotation(degrees), translation(down, right)), height, width)
    y, x = moved(inverse(matrix), *corners(height, width))
    holds = (box[0] <= y) & (y <= box[2]) & (box[1] <= x) & (x <= box[3])
    return surrounding(*moved(matrix, *outlines(box[None], 1)), holds[None], height, width)[0]


def cut(polygon: list[complex], inside: Callable[[complex], float]) -> list[complex]:
    """The part of a polygon where `inside`, a linear function, is not negative (Sutherland and Hodgman 1974)."""
    kept = []
    for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        here, there = inside(start), inside(end)
        if here >= 0:
            kept.append(start)
        if here * there < 0:
            kept.append(start + (end - start) * here / (here - there))
    return kept


@settings(max_examples=200, deadline=None)
@given(
    st.floats(0, 8),
    st.floats(0, 12),
    st.floats(1, 18),
    st.floats(1, 18),
    st.integers(-180, 180),
    coordinate,
    coordinate,
)
def test_a_surrounding_box_is_tight_around_what_is_seen_of_a_turned_one(y0, x0, height, width, degrees, down, right):
    """Also where sides or corners are cut off; in complex numbers, and by another algorithm."""
    box = np.float32([y0, x0, y0 + height, x0 + width])
    result = np.asarray(turned(box, HEIGHT, WIDTH, degrees, down, right))

    centre, turn = (WIDTH - 1j * HEIGHT) / 2, np.exp(1j * np.deg2rad(degrees))
    y0, x0, y1, x1 = map(float, box)
    # The imaginary part points up, so that a positive angle is counterclockwise.
    polygon = [x0 - 1j * y0, x1 - 1j * y0, x1 - 1j * y1, x0 - 1j * y1]
    polygon = [(corner - centre) * turn + centre + right - 1j * down for corner in polygon]
    polygon = cut(cut(polygon, lambda p: -p.imag), lambda p: HEIGHT + p.imag)
    polygon = cut(cut(polygon, lambda p: p.real), lambda p: WIDTH - p.real)
    y, x = -np.imag(polygon), np.real(polygon)
    if len(polygon) > 2 and min(np.ptp(y), np.ptp(x)) > 1e-3:
        np.testing.assert_allclose(result, [y.min(), x.min(), y.max(), x.max()], atol=1e-2)
    else:
        assert min(result[2] - result[0], result[3] - result[1]) < 2e-3


def test_a_box_that_stays_in_the_picture_keeps_its_exact_corners():
    box = np.float32([1.37, 2.11, 7.93, 16.41])
    np.testing.assert_array_equal(turned(box, HEIGHT, WIDTH, 0.0, 0.0, 0.0), box)


def test_a_box_around_the_picture_is_the_picture_and_one_beside_its_corner_is_empty():
    nothing, everything = np.zeros((1, 4), bool), np.ones((1, 4), bool)
    around = jax.jit(surrounding, static_argnums=(3, 4))
    y, x = np.float32([[-50, -50, 50, 50]]), np.float32([[-50, 50, 50, -50]])
    np.testing.assert_array_equal(around(y, x, everything, HEIGHT, WIDTH), [[0, 0, HEIGHT, WIDTH]])
    # A slanted triangle whose own box reaches into the picture.
    y, x = np.float32([[-9, -9, 3]]), np.float32([[-9, 3, -9]])
    np.testing.assert_array_equal(around(y, x, nothing, HEIGHT, WIDTH), [[0, 0, 0, 0]])


def test_no_boxes_are_no_error():
    example = {"image": jnp.zeros((HEIGHT, WIDTH, 1)), "boxes": jnp.zeros((0, 4))}
    results = jax.jit(lambda: [mirror(example), resize(example, 3, 3), warp_by(example, rotation(10))])()
    assert [result["boxes"].shape for result in results] == [(0, 4)] * 3


# Well within the picture, so that nothing is cut off on the way.
BOXES = np.array([[14, 13, 22, 20], [20, 18, 30, 25], [0, 0, 0, 0]], np.float32)


def padded(example, rows, columns):
    """The example with zeros around it: the inverse of a crop."""
    around = ((rows, rows), (columns, columns))
    image = jnp.pad(example["image"], (*around, (0, 0)))
    boxes = example["boxes"]
    some = (boxes[:, 2:] > boxes[:, :2]).all(-1, keepdims=True)
    return {"image": image, "boxes": jnp.where(some, boxes + jnp.array([rows, columns] * 2), 0)}


def centred(matrix):
    return about_centre(matrix, TALL, WIDE)


MOTIONS = {
    "quarter turn": centred(rotation(90)),
    "half turn": centred(rotation(180)),
    "translation": translation(3.5, -2.25),
    "zoom": centred(scaling(1.25, 1.1)),
    "both": centred(chain(rotation(90), scaling(0.9, 0.9), translation(2, 1))),
}
PAIRS = {
    "flip": (mirror, mirror),
    "pad": (
        lambda example: padded(example, 6, 5),
        lambda example: crop_at(example, jnp.int32(6), jnp.int32(5), TALL, WIDE),
    ),
    "crop": (
        lambda example: crop_at(example, jnp.int32(6), jnp.int32(5), TALL - 12, WIDE - 10),
        lambda example: padded(example, 6, 5),
    ),
    "resize": (lambda example: resize(example, 31, 77), lambda example: resize(example, TALL, WIDE)),
    "resized crop": (
        lambda example: resized_crop(example, 8.0, 4.0, 32.0, 32.0, (64, 64)),
        lambda example: resized_crop(example, -16.0, -8.0, 96.0, 80.0, (TALL, WIDE)),
    ),
    **{
        name: (functools.partial(warp_by, matrix=matrix), functools.partial(warp_by, matrix=inverse(matrix)))
        for name, matrix in MOTIONS.items()
    },
}


@pytest.mark.parametrize("name", list(PAIRS))
def test_boxes_come_back_from_a_motion_and_its_inverse(name):
    there, back = PAIRS[name]
    example = {"image": jnp.zeros((TALL, WIDE, 1)), "boxes": jnp.asarray(BOXES)}
    moved = jax.jit(there)(example)
    assert name == "half turn" or not np.allclose(moved["boxes"], BOXES, atol=0.5)
    np.testing.assert_allclose(jax.jit(back)(moved)["boxes"], BOXES, atol=1e-3)


@pytest.mark.parametrize("name", ["turned", "sheared", "lens"])
def test_boxes_that_do_not_stay_upright_come_back_around_themselves(name):
    """A tilted box has a larger one around it, whose way back is larger still; its centre returns."""
    if name == "lens":
        lens = Lens(0.15, 0.05, TALL, WIDE)
        there = functools.partial(distort, coefficients=(0.15, 0.05))
        back = lambda example: warp(example, lens.distorted, lens.undistorted, border="zero")  # noqa: E731
    else:
        matrix = centred(rotation(12) if name == "turned" else shearing(8))
        there, back = (functools.partial(warp_by, matrix=each) for each in (matrix, inverse(matrix)))
    example = {"image": jnp.zeros((TALL, WIDE, 1)), "boxes": jnp.asarray(BOXES)}
    found = np.asarray(jax.jit(lambda example: back(there(example)))(example)["boxes"])
    assert (found[:2, :2] <= BOXES[:2, :2] + 1e-3).all() and (found[:2, 2:] >= BOXES[:2, 2:] - 1e-3).all()
    centres = [(boxes[:2, :2] + boxes[:2, 2:]) / 2 for boxes in (found, BOXES)]
    np.testing.assert_allclose(*centres, atol=0.6)
    assert (found[2] == 0).all()


@pytest.mark.parametrize("name", [name for name in transforms if name not in MIXTURES])
def test_boxes_and_image_agree_after_every_augmentation_that_is_drawn(name):
    """Whatever an augmentation draws, each box is still around what was painted in it."""
    options = {"pca_colour": {"components": ((0.1, 0.0), (0.0, 0.1))}}.get(name, {})
    plain = painted()
    batch = {field: value[None] for field, value in plain.items()}
    change = compose(((name, options),))
    results = under_keys(lambda key, batch: change(key[None], batch), batch, 3)
    left = 0
    for seed in range(3):
        one = {field: value[seed, 0] for field, value in results.items()}
        turned = not np.allclose(one["boxes"], plain["boxes"]) and name in ("affine", "lens_distortion")
        # Colours are not what is asked for here.
        one["image"] = np.stack([one["mask"] / 4, one["mask"] > 0], -1) * (one["mask"] < 255)[..., None]
        left += check_agreement(one, slack=1.51, turned=turned)
    assert left > 0
