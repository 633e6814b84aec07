"""Which class and which box count of an example, and the cheapest assignment, against SciPy's."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from convnets.tasks.localization.truth import cheapest, truth_of

NOTHING = (0, 0, 0, 0)


def batch(boxes, labels, label=None, size=(10, 20)):
    found = {
        "image": jnp.zeros((1, *size, 3)),
        "boxes": jnp.array([boxes], jnp.float32),
        "box_labels": jnp.array([labels], jnp.int32),
    }
    return found if label is None else found | {"label": jnp.array([label], jnp.int32)}


def said(truth):
    counted = truth.has_class[0].tolist(), truth.has_box[0].tolist()
    return truth.labels[0].tolist(), *counted, np.round(np.asarray(truth.boxes[0], np.float64), 6).tolist()


def test_one_object_has_the_image_s_label_and_a_box_relative_to_the_image():
    assert said(truth_of(batch([(1, 2, 6, 12)], [3], 3), 1)) == ([3], [1], [1], [[0.1, 0.1, 0.6, 0.6]])


def test_a_box_that_has_left_counts_for_nothing_and_the_label_still_does():
    assert said(truth_of(batch([NOTHING], [3], 3), 1)) == ([3], [1], [0], [[0, 0, 0, 0]])


def test_without_a_label_the_class_is_that_of_the_first_box_that_is_seen():
    assert said(truth_of(batch([NOTHING, (0, 0, 5, 10)], [1, 2]), 1)) == ([2], [1], [1], [[0, 0, 0.5, 0.5]])
    assert said(truth_of(batch([NOTHING, NOTHING], [1, -1]), 1))[1:3] == ([0], [0])


def test_of_several_boxes_those_of_the_image_s_class_are_as_good():
    truth = truth_of(batch([(0, 0, 5, 5), (0, 0, 5, 10), (5, 10, 10, 20)], [1, 2, 2], 2), 1)
    assert said(truth) == ([2], [1], [1], [[0, 0, 0.5, 0.5]])
    assert truth.others[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]


def test_several_objects_keep_their_places_and_count_while_they_are_seen():
    truth = truth_of(batch([(0, 0, 5, 10), NOTHING, (5, 10, 10, 20)], [4, 2, 1], 4), 3)
    assert truth.labels[0, ::2].tolist() == [4, 1]
    assert truth.has_class[0].tolist() == truth.has_box[0].tolist() == [1, 0, 1]
    assert truth.boxes[0].tolist() == [[0, 0, 0.5, 0.5], [0, 0, 0, 0], [0.5, 0.5, 1, 1]]
    turned = truth.assigned(jnp.array([[2, 0, 1]]))
    assert turned.has_box[0].tolist() == [1, 1, 0] and turned.boxes[0, 0].tolist() == [0.5, 0.5, 1, 1]
    assert turned.others.shape == truth.others.shape


@pytest.mark.parametrize("objects", [1, 2, 3, 6])
def test_the_cheapest_assignment_costs_as_little_as_scipys(objects):
    costs = np.random.default_rng(objects).normal(0, 5, (20, objects, objects)).astype(np.float32)
    found = np.asarray(cheapest(jnp.asarray(costs)))
    for matrix, order in zip(costs, found, strict=True):
        assert sorted(order) == list(range(objects))
        assert matrix[np.arange(objects), order].sum() == pytest.approx(matrix[linear_sum_assignment(matrix)].sum())


def test_equal_costs_still_give_each_object_to_one_answer():
    assert np.sort(cheapest(jnp.zeros((3, 4, 4)))).tolist() == [[0, 1, 2, 3]] * 3
