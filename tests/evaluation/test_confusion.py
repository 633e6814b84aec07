"""The measures of segmentation against counts by hand, pixel by pixel."""

import jax.numpy as jnp
import numpy as np
import pytest

from convnets.data.label_map import IGNORED
from convnets.evaluation.metrics import confusion_matrix, measures


def by_hand(truth, predicted, classes):
    """Long et al.'s four measures by sets of pixels."""
    labelled = truth != IGNORED
    accuracies, ious, weighted = [], [], 0.0
    for one in range(classes):
        true, said = labelled & (truth == one), labelled & (predicted == one)
        both, either = np.sum(true & said), np.sum(true | said)
        if np.any(true):
            accuracies.append(both / np.sum(true))
        if either:
            ious.append(both / either)
            weighted += np.sum(true) * both / either
    right = np.sum(labelled & (truth == predicted))
    return right / np.sum(labelled), np.mean(accuracies), np.mean(ious), weighted / np.sum(labelled)


def measured(truth, predicted, classes):
    found = measures(np.asarray(confusion_matrix(jnp.asarray(truth), jnp.asarray(predicted), classes)))
    return found.pixel_accuracy, found.mean_accuracy, found.mean_iu, found.frequency_weighted_iu


@pytest.mark.parametrize("present", [range(6), [0, 2, 5], [3]], ids=["all", "some absent", "one class"])
def test_measures_are_those_counted_by_hand(present):
    draws = np.random.default_rng(0)
    truth = draws.choice([*present, IGNORED], (3, 20, 30))
    predicted = draws.integers(0, 6, truth.shape)
    assert measured(truth, predicted, 6) == pytest.approx(by_hand(truth, predicted, 6))


def test_a_class_that_is_neither_there_nor_predicted_does_not_count():
    truth = np.array([[0, 0, 1, 1]])
    assert measured(truth, np.array([[0, 0, 1, 0]]), 5) == pytest.approx((3 / 4, 3 / 4, (2 / 3 + 1 / 2) / 2, 7 / 12))


def test_one_that_is_predicted_where_it_never_is_counts_with_nothing():
    assert measured(np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 1]]), 2)[2] == pytest.approx(3 / 8)


def test_an_image_without_labels_changes_nothing_and_alone_has_no_score():
    truth = np.full((1, 4, 4), IGNORED)
    counts = confusion_matrix(jnp.asarray(truth), jnp.zeros((1, 4, 4), int), 3)
    assert not counts.any()
    assert measured(truth, np.zeros((1, 4, 4), int), 3) == (0, 0, 0, 0)


def test_counts_stay_exact_beyond_what_float32_holds():
    pixels = jnp.zeros((2**24 + 3,), jnp.int32)
    assert int(confusion_matrix(pixels, pixels, 2)[0, 0]) == 2**24 + 3
