"""Several views of an image put together, with networks whose outputs are known by hand."""

import itertools
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from scipy.special import softmax
from stripes import config_of, striped

from convnets import tasks
from convnets.data.label_map import IGNORED
from convnets.data.normalization import Normalization
from convnets.data.source import ArraySource, SourceInfo
from convnets.errors import InvalidValue
from convnets.evaluation.evaluator import evaluate
from convnets.evaluation.inference import Inference, check_views
from convnets.evaluation.views import Crop, Map, Views, numbers_of, see
from convnets.evaluation.windows import places
from convnets.parallel import Devices
from convnets.progress import Screen
from convnets.tasks.model import Model
from convnets.tasks.segmentation import Segmentation
from convnets.training.setup import build_model

WAYS = [(1, "pmap"), (2, "pmap"), (2, "shard_map")]
INFO = SourceInfo("dots", ("a", "b"), (32, 48, 3), {"test": 4}, mask_classes=("ground", "left", "right"))
EXTENTS = np.array([[32, 48], [20, 48], [32, 17], [9, 11]], np.int32)
SLOPES = np.array([0.0, 0.1, -0.2], np.float32)
NO_PARAMETERS = {"params": {"none": np.zeros(1, np.float32)}}
"""Not empty: of two arguments of which the first has no array, `jax.pmap` takes the axes of the second wrong."""
MINUS_TO_PLUS_ONE = Normalization((0.5,) * 3, (0.5,) * 3)
SIDE = 40
"""Of the images with boxes as they are served; their network's own are 32."""


class Constant(nn.Module):
    """The same logits for every image."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Any:
        return jnp.broadcast_to(jnp.arange(10.0) / 3, (len(x), 10)), {}


class Linear(nn.Module):
    """Logit k is the sum of column k of the image: a map of such logits where the image is larger than 32 x 32."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Any:
        rows, columns = x.shape[1] - 31, x.shape[2] - 31
        windows = [[x[:, i : i + 32, j : j + 10, 0].sum(1) for j in range(columns)] for i in range(rows)]
        logits = jnp.stack([jnp.stack(row, 1) for row in windows], 1) / 10
        return logits[:, 0, 0] if rows == columns == 1 else logits, {}


class FromTheLeft(nn.Module):
    """Scores of a pixel from its colour and how far right it is: no mirror image or window gives the same."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Any:
        return x + jnp.arange(x.shape[2])[:, None] * SLOPES, {}


class Keeping(Segmentation):
    """Keeps the scores of all pixels."""

    def decode(self, outputs: Any, batch: Any) -> dict[str, jax.Array]:
        return {"scores": outputs[0]}


def section(**fields: Any) -> ConfigDict:
    return config_of({f"evaluation.{name}": value for name, value in fields.items()}).evaluation


def devices_of(count: int = 1, wrapper: str = "pmap") -> Devices:
    return Devices(wrapper, jax.devices()[:count])


# Classes of images.


def model_of(network: nn.Module) -> Model:
    model = build_model(config_of(), striped(8).info)
    return replace(model, network=network, normalize=Normalization((0.0,), (1.0,)))


def evaluated(
    model: Model, count: int = 24, way: tuple[int, str] = (1, "pmap"), source: Any = None, **fields: Any
) -> Any:
    config = config_of({"evaluation.batch_size": 8, **{f"evaluation.{name}": value for name, value in fields.items()}})
    devices, source = devices_of(*way), source or striped(count)
    step = Inference(model, devices, config.evaluation, keep_scores=True)
    screen = Screen(None)
    evaluator = model.task.evaluator(len(source))
    return evaluate(step, NO_PARAMETERS, source, evaluator, devices, config, title="test", screen=screen)


def images(count: int = 24) -> np.ndarray:
    return striped(count).batch(np.arange(count))["image"].astype(np.float32) / 255


@pytest.mark.parametrize("protocol", ["centre_crop", "ten_crop", "multi_scale", "dense", "multi_crop_and_dense"])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_views_of_a_constant_network_change_nothing(protocol, average):
    evaluation = evaluated(model_of(Constant()), protocol=protocol, average=average)
    logits = np.arange(10) / 3
    expected = np.log(softmax(logits)) if average == "probabilities" else logits
    np.testing.assert_allclose(evaluation.records["scores"], np.tile(expected, (24, 1)), rtol=1e-5)
    assert evaluation.records["classes"][:, 0].tolist() == [9] * 24
    assert evaluation.metrics["top1"] == np.mean(striped(24).labels == 9)


@pytest.mark.parametrize(("way", "average"), [*zip(WAYS, ("logits", "probabilities", "logits"), strict=True)])
def test_scores_of_a_linear_network_are_the_mean_that_numpy_takes(way, average):
    """At the size of the crops all ten are the image or its mirror image; the last batch is padded."""
    evaluation = evaluated(model_of(Linear()), 21, way, protocol="ten_crop", average=average, scales=(1.0,))
    found = evaluation.records["scores"] if average == "logits" else np.exp(evaluation.records["scores"])
    plain, mirrored = (x[:21, :, :10, 0].sum(1) / 10 for x in (images(21), images(21)[:, :, ::-1]))
    of_view = softmax if average == "probabilities" else lambda x, axis: x
    expected = (of_view(plain, axis=-1) + of_view(mirrored, axis=-1)) / 2
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    assert evaluation.examples == 21 and evaluation.records["index"].tolist() == list(range(21))


def test_crops_and_maps_count_half_each(monkeypatch):
    views = Views((Crop(0, 0, 32, 32), Crop(0, 0, 32, 32, True)), (Map(32, 32, True),))
    monkeypatch.setattr("convnets.evaluation.inference.views_of", lambda *arguments: views)
    found = evaluated(model_of(Linear()), average="logits").records["scores"]
    plain, mirrored = (x[:, :, :10, 0].sum(1) / 10 for x in (images(), images()[:, :, ::-1]))
    np.testing.assert_allclose(found, (plain + mirrored) / 4 + mirrored / 2, rtol=2e-5)


def test_a_dense_map_is_the_mean_over_its_windows():
    found = evaluated(model_of(Linear()), protocol="dense", average="logits", scales=(34 / 32,)).records["scores"]
    resized = np.asarray(jax.image.resize(images(), (24, 34, 34, 1), "linear"))[..., 0]
    of_both = []
    for x in (resized, resized[:, :, ::-1]):
        of_both.append(np.mean([x[:, i : i + 32, j : j + 10].sum(1) / 10 for i in range(3) for j in range(3)], 0))
    np.testing.assert_allclose(found, np.mean(of_both, 0), rtol=2e-5)


def test_images_larger_than_the_crops_are_cropped_without_resampling():
    """Trained on 32 x 32 crops of 40 x 40 images: the centre by default, and the ten crops that NumPy slices."""
    info = replace(striped(8).info, image_shape=(40, 40, 1))
    pictures = np.random.default_rng(0).integers(0, 256, (8, 40, 40, 1)).astype(np.uint8)
    source = ArraySource({"image": pictures, "label": np.arange(8, dtype=np.int32)}, info)
    config = config_of()
    config.augmentation = (("random_crop", {"size": 32}),)
    model = build_model(config, info)
    assert model.image_shape == (32, 32, 1)
    model = replace(model, network=Linear(), normalize=Normalization((0.0,), (1.0,)))

    def scores(protocol: str) -> Any:
        return evaluated(model, source=source, protocol=protocol, average="logits").records["scores"]

    def answer(top: int, left: int, mirrored: bool = False) -> np.ndarray:
        part = (pictures / 255)[:, top : top + 32, left : left + 32, 0]
        return (part[:, :, ::-1] if mirrored else part)[:, :, :10].sum(1) / 10

    np.testing.assert_allclose(scores("centre_crop"), answer(4, 4), rtol=2e-5)
    corners = [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)]
    expected = np.mean([answer(*place, mirrored) for place in corners for mirrored in (False, True)], 0)
    np.testing.assert_allclose(scores("ten_crop"), expected, rtol=2e-5)


def test_a_network_without_maps_of_scores_is_refused_before_any_image():
    """Batch norm per location has a mean for each place of the map that it was made for."""
    model = build_model(config_of({"batch_norm.per": "location"}, network="lenet5_bn"), striped(8).info)
    with pytest.raises(InvalidValue, match="applied to images of 37 x 37, and has no outputs for them"):
        check_views(model, section(protocol="dense"))


def test_a_task_without_a_merger_has_no_views(monkeypatch):
    model = model_of(Constant())
    monkeypatch.setattr(model.task, "view_merger", lambda *arguments: None)
    with pytest.raises(InvalidValue, match="use 'centre_crop'"):
        Inference(model, devices_of(), section(protocol="ten_crop"))
    with pytest.raises(InvalidValue, match="no class scores"):
        Inference(model, devices_of(), section(), keep_scores=True)


# Classes of pixels.


def pixel_model(info: SourceInfo = INFO) -> Model:
    return Model(Keeping(info), FromTheLeft(), MINUS_TO_PLUS_ONE, info, (32, 48, 3))


def pixel_batch(size: tuple[int, int] = (32, 48), extents: np.ndarray | None = None) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (4, *size, 3)).astype(np.uint8)
    mask = random.integers(0, 3, (4, *size)).astype(np.int32)
    fields = {"image": pictures, "mask": mask, "weight": np.ones(4, np.float32)}
    if extents is None:
        return fields
    for i, (height, width) in enumerate(extents):
        mask[i, height:], mask[i, :, width:] = IGNORED, IGNORED
    return fields | {"extent": extents}


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    channels = (Image.fromarray(x[..., channel].astype(np.float32)) for channel in range(3))
    return np.stack([np.asarray(each.resize(size[::-1], Image.Resampling.BILINEAR)) for each in channels], -1)


def by_views(image: np.ndarray, scales: Any, average: str) -> np.ndarray:
    """The mean scores of one image alone."""
    total = []
    for scale, mirrored in itertools.product(scales, (False, True)):
        size = round(scale * image.shape[0]), round(scale * image.shape[1])
        x = resized(image[:, ::-1] if mirrored else image, size) * 2 - 1
        logits = x + np.arange(size[1])[:, None] * SLOPES
        scores = softmax(logits, -1) if average == "probabilities" else logits
        total.append(resized(scores[:, ::-1] if mirrored else scores, image.shape[:2]))
    return np.log(np.mean(total, 0)) if average == "probabilities" else np.mean(total, 0)


@pytest.mark.parametrize(
    ("extents", "average", "way"),
    [(None, "probabilities", WAYS[1]), (EXTENTS, "logits", WAYS[0]), (EXTENTS, "probabilities", WAYS[2])],
    ids=["one size", "variable size", "variable size on two devices"],
)
def test_pixel_scores_are_the_mean_over_each_image_alone(extents, average, way):
    scales, data, devices, seen = (0.5, 1.0, 1.5), pixel_batch(extents=extents), devices_of(*way), []
    step = Inference(pixel_model(), devices, section(protocol="whole_and_mirrored", scales=scales, average=average))
    step.seen = lambda: seen.append(1)
    sums, predictions = step(NO_PARAMETERS, devices.split(data))
    assert len(seen) == step.calls == 6
    scores, confusion = step.join(predictions)["scores"], np.zeros((3, 3), int)
    for i, (height, width) in enumerate([(32, 48)] * 4 if extents is None else extents):
        expected = by_views(data["image"][i, :height, :width] / 255, scales, average)
        np.testing.assert_allclose(scores[i, :height, :width], expected, atol=3e-5)
        np.add.at(confusion, (data["mask"][i, :height, :width], scores[i, :height, :width].argmax(-1)), 1)
    assert np.asarray(sums["confusion"]).sum(0).tolist() == confusion.tolist()


def by_windows(image: np.ndarray, window: int, overlap: int, average: str) -> np.ndarray:
    """The mean over windows for each pixel, window by window, of float images `[H, W, 3]`."""
    total, counts = np.zeros(image.shape), np.zeros((*image.shape[:2], 1))
    for top, left in itertools.product(*(places(side, window, overlap) for side in image.shape[:2])):
        part = np.s_[top : top + window, left : left + window]
        scores = image[part] + np.arange(image[part].shape[1])[:, None] * SLOPES
        total[part] += softmax(scores, -1) if average == "probabilities" else scores
        counts[part] += 1
    return total / counts


def test_windows_cover_every_pixel_and_overlap_enough():
    for side in (50, 70):
        begins = places(side, 32, 8)
        assert begins[0] == 0 and begins[-1] == side - 32
        assert all(begin + 32 - following >= 8 for begin, following in itertools.pairwise(begins))


@pytest.mark.parametrize(("way", "average"), [*zip(WAYS, ("logits", "probabilities", "logits"), strict=True)])
def test_large_images_are_scored_by_the_mean_over_windows(average, way):
    devices, data = devices_of(*way), pixel_batch((50, 70))
    info = replace(INFO, image_shape=(50, 70, 3))
    model = replace(pixel_model(info), image_shape=(50, 70, 3))
    evaluation = section(window=32, overlap=8, average=average)
    step = Inference(model, devices, evaluation)
    sums, predictions = step(NO_PARAMETERS, devices.split(data))
    scores = step.join(predictions)["scores"]
    expected = np.stack([by_windows(image / 255 * 2 - 1, 32, 8, average) for image in data["image"]])
    np.testing.assert_allclose(np.exp(scores) if average == "probabilities" else scores, expected, atol=1e-5)
    assert np.asarray(sums["confusion"]).sum() == data["mask"].size
    # The same in bands, of which only one is kept at a time, where nothing is measured.
    step = Inference(model, devices, evaluation, measured=False)
    sums, predictions = step(NO_PARAMETERS, devices.split({"image": data["image"]}))
    assert sums == {} and isinstance(predictions, list)
    np.testing.assert_allclose(step.join(predictions)["scores"], scores, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 70), (20, 40), (130, 33)])
def test_a_picture_of_any_size_is_predicted_by_windows(size):
    devices, image = devices_of(), np.random.default_rng(1).integers(0, 256, (1, *size, 3)).astype(np.uint8)
    step = Inference(pixel_model(), devices, section(window=32, overlap=8), measured=False)
    _, predictions = step(NO_PARAMETERS, devices.split({"image": image}))
    expected = by_windows(image[0] / 255 * 2 - 1, 32, 8, "probabilities")
    np.testing.assert_allclose(np.exp(step.join(predictions)["scores"][0]), expected, atol=1e-5)


# Boxes.


@pytest.fixture(scope="module")
def box_model():
    info = SourceInfo("noise", ("a", "b", "c"), (SIDE, SIDE, 3), {"train": 4}, box_counts=(1, 1))
    task = tasks.create("localization", info, hidden=8, regression="per_class", merging=0.0)
    return Model(task, task.network("lenet5", {}), MINUS_TO_PLUS_ONE, info, (32, 32, 3))


@pytest.fixture(scope="module")
def variables(box_model):
    return box_model.init(jax.random.key(0))


def noise(count=4):
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def said(model, variables, pixels):
    """Probabilities `[N, C]` and boxes `[N, C, 4]` in the pixels of 32 x 32 images."""
    logits, maps = model.network.apply(variables, model.normalize(jnp.asarray(pixels) / 255))
    return np.asarray(jax.nn.softmax(logits)), 32 * np.asarray(maps["boxes"])[:, 0]


def windows_of(model, variables, view, pixels):
    """What the windows of a view say, with boxes in the pixels of the images."""
    whole = isinstance(view, Map)
    numbers = jnp.array(numbers_of(view, (SIDE, SIDE), 1.0), jnp.float32)
    size = (view.height, view.width) if whole else (32, 32)
    shown, seen = see(jnp.asarray(pixels) / 255, numbers, size, whole=whole)
    merger = model.task.view_merger(model.network, model.image_shape, "probabilities")
    probabilities, boxes = merger.look(model.forward(variables, {"image": shown}), seen)
    return np.asarray(probabilities)[:, :, 0], SIDE * np.asarray(boxes)[:, :, 0]


def test_each_window_of_a_map_is_a_part_of_the_image_that_was_cut_out(box_model, variables):
    probabilities, boxes = windows_of(box_model, variables, Map(SIDE, SIDE), noise())
    assert probabilities.shape == (4, 9, 3) and boxes.shape == (4, 9, 3, 4)
    for number, (top, left) in enumerate(itertools.product((0, 4, 8), repeat=2)):
        expected, found = said(box_model, variables, noise()[:, top : top + 32, left : left + 32])
        np.testing.assert_allclose(probabilities[:, number], expected, atol=1e-4)
        np.testing.assert_allclose(boxes[:, number], found + np.array([top, left] * 2), atol=1e-2)


def test_the_boxes_of_a_mirror_image_are_mirrored_back(box_model, variables):
    probabilities, boxes = windows_of(box_model, variables, Map(SIDE, SIDE, True), noise())
    expected, found = said(box_model, variables, noise()[:, 4:36, ::-1][:, :, 8:40])
    np.testing.assert_allclose(probabilities[:, 5], expected, atol=1e-4)
    found = found + np.array([4, 8, 4, 8])
    np.testing.assert_allclose(boxes[:, 5], found[..., [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, SIDE, 0, SIDE], atol=1e-2)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_crop_is_one_window(box_model, variables, mirrored):
    probabilities, boxes = windows_of(box_model, variables, Crop(3, 5, 32, 32, mirrored), noise())
    part = noise()[:, 3:35, 5:37]
    expected, found = said(box_model, variables, part[:, :, ::-1] if mirrored else part)
    if mirrored:
        found = found[..., [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, 32, 0, 32]
    np.testing.assert_allclose(probabilities[:, 0], expected, atol=1e-4)
    np.testing.assert_allclose(boxes[:, 0], found + np.array([3, 5, 3, 5]), atol=1e-2)


def test_a_scaled_image_gives_boxes_in_the_pixels_of_the_image_itself(box_model, variables):
    """A white image looks the same at every scale, and so do the boxes, relative to their windows."""
    _, boxes = windows_of(box_model, variables, Map(80, 80), np.full((1, SIDE, SIDE, 3), 255))
    _, own = said(box_model, variables, np.full((1, 32, 32, 3), 255))
    rows = (80 - 32) // 4 + 1
    boxes = boxes.reshape(rows, rows, 3, 4)
    for row, column in ((0, 0), (0, 5), (12, 3)):
        np.testing.assert_allclose(boxes[row, column], own[0] / 2 + np.array([row, column] * 2) * 2, atol=1e-2)


def test_merged_boxes_are_the_best_windows(box_model, variables):
    """Without merging, the answer for a class is the box of the likeliest of all windows."""
    devices = devices_of()
    batch = {
        "image": noise(),
        "label": np.array([0, 1, 2, 0], np.int32),
        "boxes": np.tile(np.array([[[4, 6, 30, 34]]], np.float32), (4, 1, 1)),
        "box_labels": np.array([[0], [1], [2], [0]], np.int32),
        "weight": np.array([1, 1, 1, 0], np.float32),
    }
    step = Inference(box_model, devices, section(protocol="dense", scales=(1.0, 1.25)))
    sums, predictions = step(devices.replicate(variables), devices.split(batch))
    assert sums["weight"] == 3
    found = step.join(predictions)
    assert (found["boxes"] >= 0).all() and (found["boxes"] <= 1).all()
    parts = [windows_of(box_model, variables, view, noise()) for view in (*step.views.crops, *step.views.maps)]
    probabilities, boxes = (np.concatenate(of, axis=1) for of in zip(*parts, strict=True))
    for i in range(4):
        order = np.argsort(-probabilities[i].max(0), kind="stable")
        assert found["classes"][i, 0].tolist() == order[: found["classes"].shape[-1]].tolist()
        best = boxes[i, probabilities[i].argmax(0), np.arange(3)].clip(0, SIDE) / SIDE
        np.testing.assert_allclose(found["boxes"][i, 0], best[order[: found["boxes"].shape[2]]], atol=1e-3)
