"""Localization networks on every kind of backbone: names of parameters, where the head sees, and dense prediction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import run_once

from convnets import models
from convnets.data.source import SourceInfo
from convnets.errors import InvalidValue
from convnets.pretrained.depth import below, needs
from convnets.pretrained.patterns import flat
from convnets.tasks import create

INFO = SourceInfo("tiny", ("a", "b", "c"), (64, 64, 3), {"train": 2}, box_counts=(1, 1))
BACKBONES = {
    "lenet5": ({}, "stage2", (5, 5)),
    "alexnet": ({"image_size": 131, "width": 1 / 16}, "pool3", (3, 3)),
    "vgg11": ({"image_size": 64, "width": 1 / 16}, "pool5", (2, 2)),
    "googlenet": ({"image_size": 128, "width": 1 / 16}, "stage4", (4, 4)),
    "resnet18": ({"image_size": 64, "width": 1 / 16}, "stage4", (2, 2)),
    "resnet50": ({"image_size": 64, "width": 1 / 16}, "stage4", (2, 2)),
    "resnet20": ({"width": 1 / 4}, "stage3", (8, 8)),
}


def network(name, **options):
    return create("localization", INFO, hidden=8, **options).network(name, BACKBONES[name][0])


def shapes(module, side):
    images = jnp.zeros((2, side, side, 3))
    return jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), images))


@pytest.mark.parametrize("name", list(BACKBONES))
def test_the_head_stands_after_the_last_convolution_or_the_fully_connected_layers(name):
    _, map_name, window = BACKBONES[name]
    module = network(name)
    assert (module.feature_map, module.window) == (map_name, window)
    (logits, maps), variables = shapes(module, module.backbone.image_size)
    assert logits.shape == (2, 3) and maps["boxes"].shape == (2, 1, 1, 4) and maps["boxes"].dtype == jnp.float32
    assert variables["params"]["head"]["hidden"]["kernel"].shape[:2] == window
    behind = network(name, attach="fully_connected", regression="per_class")
    (_, maps), variables = shapes(behind, module.backbone.image_size)
    assert maps["boxes"].shape == (2, 1, 3, 4)
    assert variables["params"]["head"]["hidden"]["kernel"].shape[:3] == (1, 1, maps["pre_logits"].shape[-1])


@pytest.mark.parametrize("name", list(BACKBONES))
def test_a_classifiers_parameters_keep_their_names_and_shapes(name):
    classifier = models.create(name, 3, **BACKBONES[name][0])
    images = jnp.zeros((1, classifier.image_size, classifier.image_size, 3))
    there = flat(jax.eval_shape(lambda: classifier.init(jax.random.key(0), images)))
    here = flat(shapes(network(name), classifier.image_size)[1])
    assert {path: array.shape for path, array in there.items()} == {path: here[path].shape for path in there}
    assert {path[1] for path in here.keys() - there.keys()} == {"head"}


def test_every_head_begins_with_a_box_in_the_middle():
    for coordinates in ("corner", "centre_size"):
        task = create("localization", INFO, coordinates=coordinates)
        module = task.network("vgg11", BACKBONES["vgg11"][0])
        outputs, _ = run_once(module.init_with_output, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
        np.testing.assert_allclose(task.answers(outputs)[1][0, 0, 0], [0.25, 0.25, 0.75, 0.75], atol=1e-6)


def test_several_objects_have_classes_of_their_own():
    info = SourceInfo("tiny", ("a", "b", "c"), (64, 64, 3), {"train": 2}, box_counts=(4, 4))
    task = create("localization", info, objects=4, regression="per_class")
    outputs, _ = shapes(task.network("vgg11", BACKBONES["vgg11"][0]), 64)
    assert outputs[0].shape == (2, 12) and outputs[1]["boxes"].shape == (2, 4, 3, 4)


@pytest.mark.parametrize("attach", ["convolution", "fully_connected"])
def test_dense_prediction_is_the_sliding_window_s_where_no_map_is_padded(attach):
    task = create("localization", INFO, hidden=8, attach=attach, regression="per_class")
    module = task.network("lenet5", {})
    images = jax.random.normal(jax.random.key(0), (2, 44, 52, 3))
    variables = run_once(module.init, jax.random.key(1), images[:, :32, :32])
    logits, maps = run_once(module.apply, variables, images)
    assert logits.shape == (2, 4, 6, 3) and maps["boxes"].shape == (2, 4, 6, 1, 3, 4)
    apply = jax.jit(module.apply)
    for row in range(4):
        for column in range(6):
            window = images[:, 4 * row : 4 * row + 32, 4 * column : 4 * column + 32]
            expected, found = apply(variables, window)
            np.testing.assert_allclose(logits[:, row, column], expected, atol=1e-5)
            np.testing.assert_allclose(maps["boxes"][:, row, column], found["boxes"], atol=1e-5)


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "alexnet", "googlenet"])
def test_a_larger_image_gives_a_map_of_boxes_beside_that_of_logits(name):
    module = network(name)
    side = module.backbone.image_size
    _, variables = shapes(module, side)
    logits, maps = jax.eval_shape(lambda v: module.apply(v, jnp.zeros((2, side + 64, side + 32, 3))), variables)
    assert logits.ndim == 4 and maps["boxes"].shape[:3] == logits.shape[:3]


def test_maps_of_different_sizes_are_refused():
    task = create("localization", INFO)
    module = task.network("alexnet", {"image_size": 67, "width": 1 / 16})
    assert module.feature_map == "stage3", "pool3 has one position"
    with pytest.raises(InvalidValue, match="logits, and the map 'stage3'"):
        shapes(module, 195)


def test_all_that_lies_below_the_logits_is_the_backbone_without_the_head():
    module = network("resnet18")
    image = (64, 64, 3)
    assert "boxes" not in needs(module, image) and "pre_logits" in needs(module, image)
    params = flat(shapes(module, 64)[1]["params"])
    assert set(params) - below(module, image, "logits") == {p for p in params if p[0] in ("head", "logits")}
