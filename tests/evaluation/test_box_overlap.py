"""Intersection over union by hand: touching, nested, empty, inverted and distant boxes; values and gradients."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.evaluation.boxes import area, correct_points, generalized_iou, iou

BOX = (2.0, 2.0, 6.0, 10.0)  # 4 high, 8 wide
CASES = {
    # other box: (intersection over union, generalized)
    "the same": (BOX, 1, 1),
    "nested": ((3, 4, 5, 8), 8 / 32, 8 / 32),
    "around": ((0, 0, 8, 16), 32 / 128, 32 / 128),
    "half of it": ((2, 2, 4, 10), 0.5, 0.5),
    "overlapping": ((4, 6, 8, 14), 8 / 56, 8 / 56 - (72 - 56) / 72),
    "touching at a side": ((6, 2, 10, 10), 0, 0),
    "touching at a corner": ((6, 10, 8, 12), 0, -(60 - 36) / 60),
    "apart": ((10, 2, 14, 10), 0, -(96 - 64) / 96),
    "a cross": ((0, 4, 10, 6), 8 / 44, 8 / 44 - (80 - 44) / 80),
    "empty, within": ((4, 4, 4, 8), 0, 0),
    "empty, a point outside": ((0, 0, 0, 0), 0, -(60 - 32) / 60),
    "inverted, the same corners": ((6, 10, 2, 2), 0, 0),
    "inverted in one direction": ((2, 10, 6, 2), 0, 0),
    "inverted, beyond it": ((8, 12, 0, 0), 0, -(96 - 32) / 96),
}
DEGENERATE = [
    (0, 0, 0, 0),
    BOX,
    (6, 10, 2, 2),
    (2, 2, 2, 10),
    (5, 5, 5, 5),
    (-1e6, -1e6, 1e6, 1e6),
    (2, 2, 2 + 1e-20, 2 + 1e-20),
    (1e-30, 1e-30, 2e-30, 2e-30),
]


@pytest.mark.parametrize(("other", "expected", "generalized"), CASES.values(), ids=CASES)
def test_hand_made_pairs(other, expected, generalized):
    one, other = jnp.array(BOX), jnp.array(other, jnp.float32)
    for first, second in ((one, other), (other, one)):
        assert float(iou(first, second)) == pytest.approx(expected, abs=1e-6)
        assert float(generalized_iou(first, second)) == pytest.approx(generalized, abs=1e-6)


def test_empty_and_inverted_boxes_hold_nothing_not_even_themselves():
    for box in ((3, 3, 3, 9), (6, 10, 2, 2), (0, 0, 0, 0), (6, 2, 2, 10)):
        box = jnp.array(box, jnp.float32)
        assert float(area(box)) == 0 and float(iou(box, box)) == 0


@pytest.mark.parametrize("function", [iou, generalized_iou])
def test_no_pair_of_degenerate_boxes_gives_nan_in_value_or_gradient(function):
    pairs = np.array(list(itertools.product(DEGENERATE, repeat=2)), np.float32)
    both = jax.vmap(jax.value_and_grad(function, argnums=(0, 1)))(pairs[:, 0], pairs[:, 1])
    assert all(np.isfinite(values).all() for values in jax.tree.leaves(both))
    assert (np.asarray(both[0]) <= 1 + 1e-6).all() and (np.asarray(both[0]) >= -1 - 1e-6).all()


def test_random_boxes_against_counted_pixels():
    draws = np.random.default_rng(0)
    corners = np.sort(draws.integers(0, 13, (200, 2, 2, 2)), axis=2)  # of two boxes: upper left, lower right
    boxes = corners.reshape(200, 2, 4).astype(np.float32)
    found = iou(jnp.asarray(boxes[:, 0]), jnp.asarray(boxes[:, 1]))
    for pair, value in zip(boxes.astype(int), found, strict=True):
        pixels = np.zeros((2, 12, 12), bool)
        for picture, (y0, x0, y1, x1) in zip(pixels, pair, strict=True):
            picture[y0:y1, x0:x1] = True
        either = (pixels[0] | pixels[1]).sum()
        assert float(value) == pytest.approx((pixels[0] & pixels[1]).sum() / max(either, 1), abs=1e-6)


def test_the_generalized_measure_leads_boxes_together_that_do_not_touch():
    step = jax.grad(generalized_iou)(jnp.array([0.0, 0, 1, 1]), jnp.array([3.0, 3, 4, 4]))
    assert (np.asarray(step)[2:] > 0).all()
    assert not np.asarray(jax.grad(iou)(jnp.array([0.0, 0, 1, 1]), jnp.array([3.0, 3, 4, 4]))).any()


def test_points_are_right_within_a_share_of_the_size():
    true = jnp.array([[10.0, 10.0]] * 4)
    predicted = jnp.array([[10.0, 10.0], [13.0, 14.0], [13.1, 14.0], [10.0, 10.0]])
    sizes = jnp.array([25.0, 25.0, 25.0, 0.0])
    assert correct_points(predicted, true, sizes).tolist() == [1, 1, 0, 0]
