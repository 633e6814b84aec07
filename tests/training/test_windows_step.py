"""Boxes by several windows: where they lie in the image, mirrored or not, and the same in a step over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convnets.training.windows_step import WindowsStep, look, windows_of

from convnets import tasks
from convnets.data.normalization import Normalization
from convnets.data.source import SourceInfo
from convnets.evaluation.views import Crop, Map, Views
from convnets.parallel import Devices
from convnets.tasks.model import Model

SIDE = 40
"""Of the images as they are served; the network's own are 32."""


@pytest.fixture(scope="module")
def model():
    info = SourceInfo("noise", ("a", "b", "c"), (SIDE, SIDE, 3), {"train": 4}, box_counts=(1, 1))
    task = tasks.create("localization", info, hidden=8, regression="per_class", merging=0.0)
    return Model(task, task.network("lenet5", {}), Normalization((0.5,) * 3, (0.5,) * 3), info, (32, 32, 3))


@pytest.fixture(scope="module")
def variables(model):
    return model.network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def images(count=4):
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def said(model, variables, pixels):
    """Probabilities `[N, C]` and boxes `[N, C, 4]` in the pixels of 32 x 32 images."""
    logits, maps = model.network.apply(variables, model.normalize(jnp.asarray(pixels) / 255))
    return np.asarray(jax.nn.softmax(logits)), 32 * np.asarray(maps["boxes"])[:, 0]


def seen(model, variables, view, size=None):
    found = windows_of(model, variables, jnp.asarray(images()) / 255, jnp.array(view, jnp.float32), size)
    probabilities, boxes = (np.asarray(values)[:, :, 0] for values in found)
    return probabilities, SIDE * boxes


def test_each_window_of_a_map_is_a_part_of_the_image_that_was_cut_out(model, variables):
    probabilities, boxes = seen(model, variables, Map(SIDE, SIDE), (SIDE, SIDE))
    assert probabilities.shape == (4, 9, 3) and boxes.shape == (4, 9, 3, 4)
    for number, (top, left) in enumerate((y, x) for y in (0, 4, 8) for x in (0, 4, 8)):
        expected, found = said(model, variables, images()[:, top : top + 32, left : left + 32])
        np.testing.assert_allclose(probabilities[:, number], expected, atol=1e-4)
        np.testing.assert_allclose(boxes[:, number], found + np.array([top, left] * 2), atol=1e-2)


def test_the_boxes_of_a_mirror_image_are_mirrored_back(model, variables):
    probabilities, boxes = seen(model, variables, Map(SIDE, SIDE, True), (SIDE, SIDE))
    expected, found = said(model, variables, images()[:, 4:36, ::-1][:, :, 8:40])
    np.testing.assert_allclose(probabilities[:, 5], expected, atol=1e-4)
    found = found + np.array([4, 8, 4, 8])
    np.testing.assert_allclose(boxes[:, 5], found[..., [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, SIDE, 0, SIDE], atol=1e-2)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_crop_is_one_window(model, variables, mirrored):
    probabilities, boxes = seen(model, variables, Crop(3, 5, 32, 32, mirrored))
    part = images()[:, 3:35, 5:37]
    expected, found = said(model, variables, part[:, :, ::-1] if mirrored else part)
    if mirrored:
        found = found[..., [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, 32, 0, 32]
    np.testing.assert_allclose(probabilities[:, 0], expected, atol=1e-4)
    np.testing.assert_allclose(boxes[:, 0], found + np.array([3, 5, 3, 5]), atol=1e-2)


def test_a_scaled_image_gives_boxes_in_the_pixels_of_the_image_itself(model, variables):
    """A white image looks the same at every scale, and so do the boxes, relative to their windows."""
    white = jnp.ones((1, SIDE, SIDE, 3))
    _, boxes = windows_of(model, variables, white, jnp.array(Map(80, 80), jnp.float32), (80, 80))
    _, own = said(model, variables, np.full((1, 32, 32, 3), 255))
    rows = (80 - 32) // 4 + 1
    boxes = SIDE * np.asarray(boxes).reshape(rows, rows, 3, 4)
    for row, column in ((0, 0), (0, 5), (12, 3)):
        np.testing.assert_allclose(boxes[row, column], own[0] / 2 + np.array([row, column] * 2) * 2, atol=1e-2)


@pytest.mark.parametrize("wrapper", ["pmap", "shard_map"])
def test_the_step_measures_the_merged_boxes(model, variables, wrapper):
    views = Views((Crop(4, 4, 32, 32),), (Map(SIDE, SIDE), Map(48, 48, True)))
    devices = Devices(wrapper, jax.devices()[:1])
    batch = {
        "image": images(),
        "label": np.array([0, 1, 2, 0], np.int32),
        "boxes": np.tile(np.array([[[4, 6, 30, 34]]], np.float32), (4, 1, 1)),
        "box_labels": np.array([[0], [1], [2], [0]], np.int32),
        "weight": np.array([1, 1, 1, 0], np.float32),
    }
    step = WindowsStep(model, devices, views)
    count = []
    step.seen = lambda: count.append(1)
    sums, predictions = step(devices.replicate(variables), devices.split(batch))
    assert len(count) == 3
    outputs = look(model, variables, jnp.asarray(batch["image"]) / 255, views)
    expected = model.task.measure(outputs, jax.tree.map(jnp.asarray, batch))
    for name, value in jax.device_get(sums).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-4)
    boxes = devices.join(predictions)["boxes"]
    np.testing.assert_allclose(boxes, model.task.predictions(outputs)["boxes"], atol=1e-4)
    assert (boxes >= 0).all() and (boxes <= 1).all()
