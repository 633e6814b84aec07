"""What is regressed, and what a wrong box costs: against hand calculations, and never NaN."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.tasks.localization.losses import BEND, box_loss, decode, encode

BOX = np.array([0.1, 0.2, 0.5, 0.6], np.float32)
COORDINATES = ("corner", "centre_size")
LOSSES = ("l2", "smooth_l1", "iou")


def test_the_numbers_of_a_box_by_hand():
    np.testing.assert_array_equal(encode(BOX, "corner"), BOX)
    np.testing.assert_allclose(encode(BOX, "centre_size"), [0.3, 0.4, np.log(0.4), np.log(0.4)], rtol=1e-6)


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_decoding_undoes_encoding(coordinates):
    draws = np.random.default_rng(0)
    first, sides = draws.uniform(-1, 1, (50, 2)), draws.uniform(0.01, 2, (50, 2))
    boxes = np.concatenate([first, first + sides], axis=1).astype(np.float32)
    np.testing.assert_allclose(decode(encode(boxes, coordinates), coordinates), boxes, atol=1e-6)


def test_centre_and_size_are_never_inverted_whatever_a_network_says():
    found = decode(jnp.array([[0.5, 0.5, -1e4, 1e4], [0.5, 0.5, 0.0, -30.0]]), "centre_size")
    assert np.isfinite(found).all() and (np.asarray(found)[:, 2:] > np.asarray(found)[:, :2]).all()


def test_losses_by_hand():
    numbers = BOX + np.array([0.05, 0.0, -0.3, 0.1], np.float32)
    assert float(box_loss(numbers, BOX, "l2", "corner")) == pytest.approx(0.0025 + 0.09 + 0.01, rel=1e-5)
    smooth = 0.05**2 / (2 * BEND) + (0.3 - BEND / 2) + 0.1**2 / (2 * BEND)
    assert float(box_loss(numbers, BOX, "smooth_l1", "corner")) == pytest.approx(smooth, rel=1e-5)
    # The lower half of the box and as much again below it.
    below = np.array([0.3, 0.2, 0.7, 0.6], np.float32)
    assert float(box_loss(below, BOX, "iou", "corner")) == pytest.approx(1 - 1 / 3, rel=1e-5)


def test_the_losses_of_sizes_are_of_their_logarithms():
    numbers = encode(BOX, "centre_size") + jnp.array([0, 0, np.log(2), 0])
    assert float(box_loss(numbers, BOX, "l2", "centre_size")) == pytest.approx(np.log(2) ** 2, rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_the_right_numbers_cost_nothing(coordinates, loss):
    assert float(box_loss(encode(BOX, coordinates), BOX, loss, coordinates)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_neither_loss_nor_gradient_is_nan_of_degenerate_boxes(coordinates, loss):
    degenerate = [(0, 0, 0, 0), (0.5, 0.5, 0.5, 0.9), (0.6, 0.6, 0.2, 0.2), (0, 0, 1, 1), (1, 1, 1, 1), (-9, -9, 9, 9)]
    pairs = np.array(list(itertools.product(degenerate, repeat=2)), np.float32)
    both = jax.vmap(jax.value_and_grad(lambda one, other: box_loss(one, other, loss, coordinates)))(
        *pairs.swapaxes(0, 1)
    )
    assert all(np.isfinite(values).all() for values in both)


def test_an_inverted_box_within_the_true_one_is_led_out_by_the_loss_of_overlaps():
    gradient = np.asarray(jax.grad(box_loss)(jnp.array([0.4, 0.4, 0.3, 0.3]), BOX, "iou", "corner"))
    assert (gradient[:2] > 0).all() and (gradient[2:] < 0).all()
