"""Merging boxes of several windows, against the paper's loop written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.evaluation import boxes
from convnets.evaluation.boxes import match_scores

merge, merged_answer = jax.jit(boxes.merge), jax.jit(boxes.merged_answer)


def iou(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = max(sides[0], 0) * max(sides[1], 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def match(one, other):
    apart = np.hypot(*((one[:2] + one[2:]) / 2 - (other[:2] + other[2:]) / 2))
    diagonals = [np.hypot(*(box[2:] - box[:2])) for box in (one, other)]
    return apart / np.mean(diagonals) + 1 - iou(one, other)


def merged_by_hand(boxes, scores, limit):
    left = [(box.astype(np.float64), float(score)) for box, score in zip(boxes, scores, strict=True)]
    while len(left) > 1:
        pairs = [(match(left[i][0], left[j][0]), i, j) for i in range(len(left)) for j in range(i + 1, len(left))]
        best, i, j = min(pairs)
        if best >= limit:
            break
        one, other = left[i], left[j]
        left[i] = ((one[0] + other[0]) / 2, one[1] + other[1])
        del left[j]
    return left


def random_boxes(seed, count=12):
    draws = np.random.default_rng(seed)
    middles, sides = draws.uniform(0.2, 0.8, (3, 2))[draws.integers(0, 3, count)], draws.uniform(0.2, 0.5, (count, 2))
    middles = middles + draws.normal(0, 0.05, (count, 2))
    return np.concatenate([middles - sides / 2, middles + sides / 2], 1).astype(np.float32), draws.random(count)


def test_the_match_score_is_zero_of_equal_boxes_and_at_least_one_of_those_apart():
    boxes = jnp.array([[0.0, 0, 1, 1], [0, 0, 1, 1], [0, 0.5, 1, 1.5], [4, 4, 5, 5], [2, 2, 2, 2]])
    scores = np.asarray(match_scores(boxes[0], boxes))
    assert scores[1] == 0 and scores[3] > 1 and scores[4] >= 1
    assert scores[2] == pytest.approx(0.5 / np.sqrt(2) + 1 - 1 / 3)


@pytest.mark.parametrize("limit", [0.0, 0.4, 0.8, 2.0, 100.0])
@pytest.mark.parametrize("seed", range(4))
def test_boxes_are_merged_as_by_hand(seed, limit):
    boxes, scores = random_boxes(seed)
    found, sums = (np.asarray(x) for x in merge(jnp.asarray(boxes), jnp.asarray(scores), limit))
    expected = sorted(merged_by_hand(boxes, scores, limit), key=lambda one: one[1])
    kept = np.flatnonzero(sums > 0)
    order = kept[np.argsort(sums[kept])]
    np.testing.assert_allclose(sums[order], [score for _, score in expected], rtol=1e-5)
    np.testing.assert_allclose(found[order], [box for box, _ in expected], atol=1e-5)
    assert len(order) == (1 if limit == 100 else 12 if limit == 0 else len(expected))


def test_the_answer_is_the_box_of_the_largest_sum_and_not_of_the_likeliest_window():
    near = np.array([[0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.52, 0.5]], np.float32)
    far = np.array([[0.6, 0.6, 0.9, 0.9]], np.float32)
    boxes = np.concatenate([near, far])[:, None]
    probabilities = np.array([[0.5, 0.5], [0.6, 0.4], [0.9, 0.1]], np.float32)
    scores, answer = merged_answer(jnp.asarray(probabilities), jnp.asarray(boxes), 0.5)
    np.testing.assert_allclose(answer[0], near.mean(0), atol=1e-6)
    np.testing.assert_allclose(scores, [1.1 / 3, 0.9 / 3], rtol=1e-6)
    scores, answer = merged_answer(jnp.asarray(probabilities), jnp.asarray(boxes), 0.0)
    np.testing.assert_allclose(answer[0], far[0], atol=1e-6)
    np.testing.assert_allclose(scores, [0.9 / 3, 0.5 / 3], rtol=1e-6)


def test_of_a_class_beyond_the_five_likeliest_the_likeliest_window_s_box_is_taken():
    boxes, _ = random_boxes(1, count=6)
    of_class = np.stack([boxes + 0.01 * label for label in range(7)], axis=1)
    probabilities = np.full((6, 7), 0.1, np.float32)
    probabilities[:, 5:] = 0.01
    probabilities[4, 6] = 0.02
    _, answer = merged_answer(jnp.asarray(probabilities), jnp.asarray(of_class), 0.5)
    np.testing.assert_allclose(answer[6], of_class[4, 6], atol=1e-6)


def test_one_window_says_what_it_says():
    boxes, _ = random_boxes(0, count=1)
    scores, answer = merged_answer(jnp.array([[0.2, 0.7, 0.1]]), jnp.asarray(boxes)[:, None], 0.5)
    np.testing.assert_allclose(scores, [0.2, 0.7, 0.1])
    np.testing.assert_allclose(answer, np.repeat(boxes, 3, 0))
