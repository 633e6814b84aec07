"""Scores of large images by windows, against each window cut out and scored by hand."""

import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convnets.evaluation.large_images import pixel_classes, windows_of
from convnets.tasks.segmentation.segmentation import Segmentation
from convnets.training.overlapping_windows import OverlappingWindows
from convnets.training.whole_images_step import WholeImagesStep
from scipy.special import softmax

from convnets.data.normalization import Normalization
from convnets.data.source import SourceInfo
from convnets.evaluation.protocols import views_of
from convnets.parallel import Devices
from convnets.tasks.model import Model

INFO = SourceInfo("dots", ("a", "b"), (50, 70, 3), {"test": 4}, mask_classes=("ground", "left", "right"))
SLOPES = np.array([0.0, 0.1, -0.2])
MINUS_TO_PLUS_ONE = Normalization((0.5,) * 3, (0.5,) * 3)


class FromTheLeft(nn.Module):
    """Scores of a pixel from its colour and its place in the window: no two windows say the same of it."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Any:
        slopes = self.param("slopes", nn.initializers.zeros_init(), (3,))
        return x + jnp.arange(x.shape[2])[:, None] * slopes, {}


class Keeping(Segmentation):
    """Keeps the scores of all pixels."""

    def predictions(self, outputs: Any) -> dict[str, jax.Array]:
        return {"scores": outputs[0]}


def by_hand(image: np.ndarray, window: int, overlap: int, average: str) -> np.ndarray:
    """The mean over windows for each pixel, window by window, of float images `[H, W, 3]`."""
    height, width = image.shape[:2]
    found: list[list[list[np.ndarray]]] = [[[] for _ in range(width)] for _ in range(height)]
    for top, left in windows_of((height, width), window, overlap):
        part = image[top : top + window, left : left + window]
        scores = part + np.arange(part.shape[1])[:, None] * SLOPES
        scores = softmax(scores, -1) if average == "probabilities" else scores
        for y in range(part.shape[0]):
            for x in range(part.shape[1]):
                found[top + y][left + x].append(scores[y, x])
    return np.array([[np.mean(each, 0) for each in row] for row in found])


def test_windows_cover_every_pixel_and_overlap_enough():
    size, window, overlap = (50, 70), 32, 8
    covered = np.zeros(size, int)
    for top, left in windows_of(size, window, overlap):
        covered[top : top + window, left : left + window] += 1
    assert covered.min() == 1
    tops, lefts = (sorted(set(begins)) for begins in zip(*windows_of(size, window, overlap), strict=True))
    for begins, side in ((tops, 50), (lefts, 70)):
        assert begins[0] == 0 and begins[-1] == side - window
        assert all(begin + window - following >= overlap for begin, following in itertools.pairwise(begins))


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize(("devices", "wrapper"), [(1, "pmap"), (4, "pmap"), (2, "shard_map")])
def test_evaluation_scores_large_images_by_the_mean_over_windows(average, devices, wrapper):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 50, 70, 3)).astype(np.uint8)
    mask = random.integers(0, 3, (4, 50, 70)).astype(np.int32)
    data = {"image": images, "mask": mask, "weight": np.ones(4, np.float32)}
    over = Devices(wrapper, jax.devices()[:devices])
    model = Model(Keeping(INFO), FromTheLeft(), MINUS_TO_PLUS_ONE, INFO, INFO.image_shape)
    windows = OverlappingWindows(model, over, 32, 8, average)
    step = WholeImagesStep(model, over, lambda image: views_of("whole_image", image, (32, 32), ()), average, windows)
    sums, predictions = step({"params": {"slopes": SLOPES.astype(np.float32)}}, over.split(data))
    scores = over.join(predictions)["scores"]
    expected = np.stack([by_hand(image / 255 * 2 - 1, 32, 8, average) for image in images])
    np.testing.assert_allclose(np.exp(scores) if average == "probabilities" else scores, expected, atol=1e-5)
    assert np.asarray(sums["confusion"]).sum() == mask.size


@pytest.mark.parametrize("size", [(50, 70), (32, 70), (20, 40), (130, 33)])
def test_prediction_of_a_large_picture_is_the_mean_over_windows(size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    asked = []

    def apply(part: np.ndarray) -> np.ndarray:
        asked.append(part.shape[:2])
        return softmax(part / 255 * 2 - 1 + np.arange(part.shape[1])[:, None] * SLOPES, -1).astype(np.float32)

    found = pixel_classes(apply, image, window=32, overlap=8)
    assert set(asked) == {(min(size[0], 32), min(size[1], 32))}
    expected = by_hand(image / 255 * 2 - 1, 32, 8, "probabilities")
    assert found.dtype == np.uint8 and (found == expected.argmax(-1)).all()
    at_once = pixel_classes(apply, image, window=200, overlap=8)
    assert (found != at_once).any()
