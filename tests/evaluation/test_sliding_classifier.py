"""A classifier over a larger image: window by window, and in one pass."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from convnets import models
from convnets.errors import InvalidValue
from convnets.evaluation.sliding_window import SlidingClassifier, agreement, window_places
from convnets.layers import BatchNorm

CLASSES = 5


def drawn(network: nn.Module, side: int, channels: int, seed: int = 0) -> Any:
    """Variables, none of which is what it began with."""
    random = np.random.default_rng(seed)

    def value(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key == "kernel":
            return random.normal(0, (2 / np.prod(leaf.shape[:-1])) ** 0.5, leaf.shape).astype(np.float32)
        low = 0.5 if path[-1].key in ("scale", "variance") else -0.2
        return random.uniform(low, low + 0.4, leaf.shape).astype(np.float32)

    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, side, side, channels)))
    return jax.tree_util.tree_map_with_path(value, shapes)


def noise(height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(height, width, channels)).astype(np.float32)


def lenet(batch: int = 4, image: tuple[int, int] = (40, 53)) -> tuple[SlidingClassifier, nn.Module, Any, np.ndarray]:
    network = models.create("lenet5", CLASSES)
    variables, pixels = drawn(network, 32, 1), noise(*image, 1)
    classifier = SlidingClassifier(network, variables, pixels, window=(32, 32), stride=(4, 4), batch=batch)
    return classifier, network, variables, pixels


@pytest.mark.parametrize("batch", [1, 4, 7, 1000])
def test_each_window_is_classified_as_if_it_were_cut_out_by_hand(batch: int) -> None:
    classifier, network, variables, pixels = lenet(batch)
    found = np.asarray(classifier.one_by_one())
    assert found.shape == (3, 6, CLASSES)
    cut = np.stack([pixels[top : top + 32, left : left + 32] for top in (0, 4, 8) for left in range(0, 21, 4)])
    by_hand: Any = jax.jit(network.apply)(variables, cut)[0]
    np.testing.assert_allclose(found.reshape(18, CLASSES), by_hand, atol=1e-5)


def test_without_padding_the_one_pass_says_the_same_of_every_window() -> None:
    classifier, *_ = lenet()
    windows, one_pass = np.asarray(classifier.one_by_one()), np.asarray(classifier.one_pass())
    found = agreement(windows, one_pass)
    assert (found.places, found.share) == (18, 1)
    assert found.largest_difference < 1e-5 * found.largest_logit
    assert np.ptp(windows, axis=(0, 1)).max() > 0.1, "and not of all windows the same"


def test_with_padding_the_pass_is_the_classifier_on_each_window_of_the_last_map_and_crops_differ() -> None:
    network = models.create("resnet20", CLASSES, width=1 / 8, image_size=16)
    variables, pixels = drawn(network, 16, 3), noise(26, 30, 3)
    classifier = SlidingClassifier(network, variables, pixels, window=(16, 16), stride=(4, 4), batch=8)
    windows, one_pass = np.asarray(classifier.one_by_one()), np.asarray(classifier.one_pass())
    assert windows.shape == one_pass.shape == (3, 4, CLASSES), "where the map is 4 x 5"

    logits, maps = jax.jit(network.apply)(variables, pixels[None])
    assert logits.shape == (1, 4, 5, CLASSES)
    last, head = np.asarray(maps["stage3"])[0], variables["params"]["logits"]
    for row, column in np.ndindex(3, 4):
        seen = last[row : row + 4, column : column + 4].mean((0, 1))
        expected = seen @ head["kernel"][0, 0] + head["bias"]
        np.testing.assert_allclose(one_pass[row, column], expected, atol=1e-4 * np.abs(expected).max())
    assert agreement(windows, one_pass).largest_difference > 0.01


def test_an_image_of_the_windows_size_is_one_window() -> None:
    classifier, *_ = lenet(image=(32, 32))
    assert classifier.one_by_one().shape == classifier.one_pass().shape == (1, 1, CLASSES)
    np.testing.assert_allclose(classifier.one_by_one(), classifier.one_pass(), atol=1e-5)


def test_windows_lie_a_stride_apart_and_inside_the_image() -> None:
    places = window_places((10, 7), (4, 5), (3, 2))
    assert places.tolist() == [[[0, 0], [0, 2]], [[3, 0], [3, 2]], [[6, 0], [6, 2]]]
    with pytest.raises(InvalidValue, match=r"^the image is 40 x 31 pixels, and the window 32 x 32: give a larger one$"):
        window_places((40, 31), (32, 32), (4, 4))


def test_agreement_by_hand() -> None:
    one = np.array([[[1.0, 2.0, -9.0], [0.0, 1.0, 0.5]]])
    other = np.array([[[1.0, 2.5, -9.0], [3.0, 0.0, 1.0]]])
    found = agreement(one, other)
    assert (found.places, found.equal, found.share) == (2, 1, 0.5)
    assert (found.largest_difference, found.largest_logit) == (3.0, 9.0)


class Pooled(nn.Module):
    """A network that gives one vector of logits, however large the image is."""

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        return nn.Dense(CLASSES)(x.mean((1, 2))), {}


class PerLocation(nn.Module):
    """A network with the lecture's first option of batch norm."""

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        return BatchNorm(per="location")(x, train).mean((1, 2)), {}


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (Pooled(), r"^the network gives 1 x 1 logits of an image of 12 x 8, where 3 x 1 windows fit: slide one whose"),
        (PerLocation(), r"^the network was made for images of 8 x 8 and can't be applied to 12 x 8 \(.*\): slide one"),
    ],
)
def test_a_network_without_a_map_of_logits_is_refused(network: nn.Module, sentence: str) -> None:
    variables = drawn(network, 8, 3)
    with pytest.raises(InvalidValue, match=sentence):
        SlidingClassifier(network, variables, noise(12, 8, 3), window=(8, 8), stride=(2, 2), batch=4)


def test_a_batch_holds_a_window() -> None:
    with pytest.raises(InvalidValue, match="the batch is 0, and must hold at least one window"):
        lenet(batch=0)
