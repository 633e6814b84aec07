"""Scores of pixels over several views of whole images, with a network whose answers are known by hand."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convnets.tasks.segmentation.segmentation import Segmentation
from convnets.training.overlapping_windows import OverlappingWindows
from convnets.training.whole_images_step import WholeImagesStep
from PIL import Image
from scipy.special import softmax

from convnets.data.label_map import IGNORED
from convnets.data.normalization import Normalization
from convnets.data.source import SourceInfo
from convnets.evaluation.protocols import views_of
from convnets.parallel import Devices
from convnets.tasks.model import Model

INFO = SourceInfo("dots", ("a", "b"), (32, 48, 3), {"test": 4}, mask_classes=("ground", "left", "right"))
EXTENTS = np.array([[32, 48], [20, 48], [32, 17], [9, 11]], np.int32)


class Keeping(Segmentation):
    """Keeps the scores of all pixels."""

    def predictions(self, outputs: Any) -> dict[str, jax.Array]:
        return {"scores": outputs[0]}


class Pointwise(nn.Module):
    """Scores of a pixel from its colour and how far right it is: a mirror image has others."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Any:
        return x + jnp.arange(x.shape[2])[:, None] * jnp.array([0.0, 0.01, 0.03]), {}


def batch(own: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 32, 48, 3)).astype(np.uint8)
    mask = random.integers(0, 3, (4, 32, 48)).astype(np.int32)
    fields = {"image": images, "mask": mask, "weight": np.ones(4, np.float32)}
    if not own:
        return fields
    for i, (height, width) in enumerate(EXTENTS):
        mask[i, height:], mask[i, :, width:] = IGNORED, IGNORED
    return fields | {"extent": EXTENTS}


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    channels = (Image.fromarray(x[..., channel].astype(np.float32)) for channel in range(3))
    return np.stack([np.asarray(each.resize(size[::-1], Image.Resampling.BILINEAR)) for each in channels], -1)


def by_hand(image: np.ndarray, scales: Any, average: str) -> np.ndarray:
    """The mean scores of one image alone."""
    total = []
    for scale in scales:
        size = round(scale * image.shape[0]), round(scale * image.shape[1])
        for mirrored in (False, True):
            x = resized(image[:, ::-1] if mirrored else image, size) * 2 - 1
            logits = x + np.arange(size[1])[:, None] * np.array([0, 0.01, 0.03])
            scores = softmax(logits, -1) if average == "probabilities" else logits
            back = resized(scores[:, ::-1] if mirrored else scores, image.shape[:2])
            total.append(back)
    mean = np.mean(total, 0)
    return np.log(mean) if average == "probabilities" else mean


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize(("devices", "wrapper"), [(1, "pmap"), (4, "pmap"), (2, "shard_map")])
def test_scores_are_the_mean_over_each_image_alone(own, average, devices, wrapper):
    scales, data = (0.5, 1.0, 1.5), batch(own)
    over = Devices(wrapper, jax.devices()[:devices])
    model = Model(Keeping(INFO), Pointwise(), Normalization((0.5,) * 3, (0.5,) * 3), INFO, INFO.image_shape)
    kept: list[Any] = []
    step = WholeImagesStep(
        model,
        over,
        lambda image: views_of("whole_and_mirrored", image, (32, 48), scales),
        average,
        OverlappingWindows(model, over, window=1024, overlap=0, average=average),
    )
    step.seen = lambda: kept.append(1)
    sums, predictions = step({}, over.split(data))
    assert len(kept) == 6
    scores = over.join(predictions)["scores"]
    confusion = np.zeros((3, 3), int)
    for i, (height, width) in enumerate(EXTENTS if own else [(32, 48)] * 4):
        expected = by_hand(data["image"][i, :height, :width] / 255, scales, average)
        np.testing.assert_allclose(scores[i, :height, :width], expected, atol=3e-5)
        np.add.at(confusion, (data["mask"][i, :height, :width], scores[i, :height, :width].argmax(-1)), 1)
    assert np.asarray(sums["confusion"]).sum(0).tolist() == confusion.tolist()
