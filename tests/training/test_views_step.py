"""Several views of an image scored and averaged, with networks whose answers are known by hand."""

from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convnets.training.evaluation import Evaluator
from convnets.training.views_step import ViewsStep
from rich.console import Console
from scipy.special import softmax
from training.stripes import config_of, striped

from convnets.data.normalization import Normalization
from convnets.data.source import ArraySource
from convnets.errors import InvalidValue
from convnets.evaluation.views import Crop, Map, Views
from convnets.parallel import Devices
from convnets.progress import Screen
from convnets.tasks.model import Model
from convnets.training.setup import build_model


class Constant(nn.Module):
    """Says the same of every image."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Any:
        return jnp.broadcast_to(jnp.arange(10.0) / 3, (len(x), 10)), {}


class Linear(nn.Module):
    """Logit k is the sum of column k of the image: a map of such logits where the image is larger than 32 x 32."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Any:
        rows = x.shape[1] - 31
        columns = x.shape[2] - 31
        windows = [[x[:, i : i + 32, j : j + 10, 0].sum(1) for j in range(columns)] for i in range(rows)]
        logits = jnp.stack([jnp.stack(row, 1) for row in windows], 1) / 10
        return logits[:, 0, 0] if rows == columns == 1 else logits, {}


def model_of(network: nn.Module) -> Model:
    model = build_model(config_of(), striped(8).info)
    normalize = Normalization((0.0,), (1.0,))
    return replace(model, network=network, normalize=normalize)


def evaluated(network: nn.Module, devices: int = 1, wrapper: str = "pmap", count: int = 24, **fields: Any) -> Any:
    config = config_of({"evaluation.batch_size": 8, **{f"evaluation.{name}": value for name, value in fields.items()}})
    evaluator = Evaluator(config, model_of(network), Devices(wrapper, jax.devices()[:devices]), keep_scores=True)
    evaluation = evaluator({}, striped(count), "test", Screen(None))
    assert evaluation is not None
    return evaluation


def images(count: int = 24) -> np.ndarray:
    return striped(count).batch(np.arange(count))["image"].astype(np.float32) / 255


@pytest.mark.parametrize("protocol", ["centre_crop", "ten_crop", "multi_scale", "dense", "multi_crop_and_dense"])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_views_of_a_constant_network_change_nothing(protocol, average):
    evaluation = evaluated(Constant(), protocol=protocol, average=average)
    logits = np.arange(10) / 3
    expected = np.log(softmax(logits)) if average == "probabilities" else logits
    np.testing.assert_allclose(evaluation.predictions["scores"], np.tile(expected, (24, 1)), rtol=1e-5)
    assert evaluation.predictions["classes"][:, 0].tolist() == [9] * 24
    assert evaluation.metrics["top1"] == np.mean(striped(24).batch(np.arange(24))["label"] == 9)


@pytest.mark.parametrize(("devices", "wrapper"), [(1, "pmap"), (4, "pmap"), (4, "shard_map")])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_scores_of_a_linear_network_are_the_mean_that_numpy_takes(devices, wrapper, average):
    """At the size of the crops all ten are the image or its mirror image."""
    found = evaluated(Linear(), devices, wrapper, protocol="ten_crop", average=average, scales=(1.0,))
    found = found.predictions["scores"] if average == "logits" else np.exp(found.predictions["scores"])
    plain, mirrored = (x[:, :, :10, 0].sum(1) / 10 for x in (images(), images()[:, :, ::-1]))
    of_view = softmax if average == "probabilities" else lambda x, axis: x
    expected = (of_view(plain, axis=-1) + of_view(mirrored, axis=-1)) / 2
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


def test_one_crop_is_the_network_itself():
    evaluation = evaluated(Linear(), protocol="centre_crop")
    logits = images()[:, :, :10, 0].sum(1) / 10
    np.testing.assert_allclose(np.exp(evaluation.predictions["scores"]), softmax(logits, -1), rtol=2e-5)
    assert evaluation.predictions["classes"][:, 0].tolist() == logits.argmax(-1).tolist()


def test_crops_and_maps_count_half_each():
    views = Views(
        (Crop(0, 0, 32, 32), Crop(0, 0, 32, 32, True)),
        (Map(32, 32, True),),
    )
    model, devices = model_of(Linear()), Devices("pmap", jax.devices()[:1])
    step = ViewsStep(model, devices, views, size=(32, 32), batch_size=24, average="logits", keep_scores=True)
    batch = striped(24).batch(np.arange(24)) | {"weight": np.ones(24, np.float32)}
    _, predictions = step({}, devices.split(batch))
    plain, mirrored = (x[:, :, :10, 0].sum(1) / 10 for x in (images(), images()[:, :, ::-1]))
    expected = (plain + mirrored) / 4 + mirrored / 2
    np.testing.assert_allclose(devices.join(predictions)["scores"], expected, rtol=2e-5)


def test_a_dense_map_is_the_mean_over_its_windows():
    found = evaluated(Linear(), protocol="dense", average="logits", scales=(34 / 32,)).predictions["scores"]
    resized = np.asarray(jax.image.resize(images(), (24, 34, 34, 1), "linear"))[..., 0]
    of_both = []
    for x in (resized, resized[:, :, ::-1]):
        of_both.append(np.mean([x[:, i : i + 32, j : j + 10].sum(1) / 10 for i in range(3) for j in range(3)], 0))
    np.testing.assert_allclose(found, np.mean(of_both, 0), rtol=2e-5)


@pytest.mark.parametrize(("devices", "wrapper"), [(1, "pmap"), (4, "pmap"), (4, "shard_map")])
def test_every_example_is_seen_once(devices, wrapper):
    evaluation = evaluated(Linear(), devices, wrapper, count=21, protocol="multi_crop_and_dense", scales=(1.0,))
    assert evaluation.examples == 21
    assert evaluation.predictions["index"].tolist() == list(range(21))


def test_images_larger_than_the_crops_are_cropped_without_resampling():
    """Trained on 32 x 32 crops of 40 x 40 images: the centre by default, and the ten crops that NumPy slices."""
    random = np.random.default_rng(0)
    info = replace(striped(8).info, image_shape=(40, 40, 1))
    pictures = random.integers(0, 256, (8, 40, 40, 1)).astype(np.uint8)
    source = ArraySource({"image": pictures, "label": np.arange(8, dtype=np.int32)}, info)
    config = config_of({"evaluation.batch_size": 8, "evaluation.average": "logits"})
    config.augmentation = (("random_crop", {"size": 32}),)
    model = build_model(config, info)
    assert model.image_shape == (32, 32, 1)
    model = replace(model, network=Linear(), normalize=Normalization((0.0,), (1.0,)))

    def scores(protocol: str) -> Any:
        config.evaluation.protocol = protocol
        evaluator = Evaluator(config, model, Devices("pmap", jax.devices()[:1]), keep_scores=True)
        evaluation = evaluator({}, source, "test", Screen(Console(quiet=True)))
        assert evaluation is not None
        return evaluation.predictions["scores"]

    def answer(top: int, left: int, mirrored: bool = False) -> np.ndarray:
        crop = (pictures / 255)[:, top : top + 32, left : left + 32, 0]
        return (crop[:, :, ::-1] if mirrored else crop)[:, :, :10].sum(1) / 10

    np.testing.assert_allclose(scores("centre_crop"), answer(4, 4), rtol=2e-5)
    places = [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)]
    expected = np.mean([answer(*place, mirrored) for place in places for mirrored in (False, True)], 0)
    np.testing.assert_allclose(scores("ten_crop"), expected, rtol=2e-5)


def test_a_network_without_maps_of_scores_is_refused_before_any_image():
    """Batch norm per location has a mean for each place of the map that it was made for."""
    config = config_of({"batch_norm.per": "location", "evaluation.protocol": "dense"}, network="lenet5_bn")
    model = build_model(config, striped(8).info)
    with pytest.raises(InvalidValue, match="asks for a map of scores of 37 x 37 images, and this network has none"):
        Evaluator(config, model, Devices("pmap", jax.devices()[:1]))


def test_a_task_without_class_scores_has_no_views_to_average():
    model = model_of(Constant())
    model.task.averages_views = False
    config = config_of({"evaluation.protocol": "ten_crop"})
    with pytest.raises(InvalidValue, match="use 'centre_crop'"):
        Evaluator(config, model, Devices("pmap", jax.devices()[:1]))
