"""Segmentation networks on every kind of backbone: sizes, names of parameters, and where their scores lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import run_once

from convnets import models
from convnets.analysis.receptive_field import feature_grids
from convnets.data.source import SourceInfo
from convnets.errors import InvalidValue
from convnets.pretrained.depth import needs
from convnets.pretrained.patterns import flat
from convnets.tasks import create

INFO = SourceInfo("tiny", ("a", "b"), (64, 64, 3), {"train": 2}, mask_classes=("ground", "a", "b"))
BACKBONES = {
    "alexnet": {"image_size": 67, "width": 1 / 16},
    "vgg11": {"image_size": 64, "width": 1 / 16},
    "googlenet": {"image_size": 128, "width": 1 / 16},
    "resnet18": {"width": 1 / 16},
    "resnet50": {"width": 1 / 16},
    "resnet20": {"width": 1 / 4},
}
HEADS = [
    {"stride": 4},
    {"stride": 4, "upsampling": "fixed"},
    {"stride": 4, "upsampling": "resize"},
    {"head": "encoder_decoder"},
    {"head": "encoder_decoder", "skips": False},
]


def network(name, **options):
    return create("segmentation", INFO, **options).network(name, BACKBONES[name])


def shapes(module, size):
    images = jnp.zeros((1, *size, 3))
    return jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), images))


@pytest.mark.parametrize("size", [(70, 101), (33, 47)])
@pytest.mark.parametrize(
    ("name", "head"), [*((name, HEADS[0]) for name in BACKBONES), *(("resnet18", head) for head in HEADS[1:])], ids=str
)
def test_the_scores_have_exactly_the_images_size_and_the_parameters_one_shape(name, head, size):
    module = network(name, **head)
    (scores, _), variables = shapes(module, size)
    assert scores.shape == (1, *size, 3)
    assert scores.dtype == jnp.float32
    _, square = shapes(module, (64, 64))
    assert jax.tree.map(lambda x: x.shape, variables) == jax.tree.map(lambda x: x.shape, square)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_classifiers_parameters_keep_their_names_and_shapes(name):
    classifier = models.create(name, 3, **BACKBONES[name])
    side = classifier.image_size
    images = jnp.zeros((1, side, side, 3))
    there = flat(jax.eval_shape(lambda: classifier.init(jax.random.key(0), images)))
    here = flat(shapes(network(name, stride=4), (64, 64))[1])
    assert {path: array.shape for path, array in there.items()} == {path: here[path].shape for path in there}
    assert {path[1] for path in here.keys() - there.keys()} == {"head"}


@pytest.mark.parametrize("head", ["fcn", "encoder_decoder"])
def test_its_feature_maps_need_what_the_classifiers_do(head):
    classifier = models.create("resnet18", 3, **BACKBONES["resnet18"])
    module = network("resnet18", head=head)
    found, expected = needs(module, (64, 64, 3)), needs(classifier, (224, 224, 3))
    # A decoder has no use for the last map, pooled.
    assert expected.keys() - found.keys() <= {"pre_logits"}
    assert found == {name: expected[name] for name in found}
    assert hash(module) == hash(module.clone())


def test_the_paper_s_maps_are_scored():
    def scored(name, stride):
        head = shapes(network(name, stride=stride), (64, 64))[1]["params"]["head"]
        return sorted(layer for layer in head if layer.startswith("score_"))

    assert scored("vgg11", 32) == []
    assert scored("vgg11", 16) == ["score_pool4"]
    assert scored("vgg11", 8) == ["score_pool3", "score_pool4"]
    assert scored("resnet18", 8) == ["score_stage2", "score_stage3"]


def test_skips_begin_without_a_say():
    coarse, fine = network("resnet18", stride=32, upsampling="fixed"), network("resnet18", stride=8, upsampling="fixed")
    images = jax.random.normal(jax.random.key(0), (1, 64, 96, 3))
    variables = run_once(fine.init, jax.random.key(1), images)
    ones = {"params": {name: value for name, value in variables["params"].items() if name != "head"}}
    expected, _ = run_once(coarse.apply, {**variables, **ones}, images)
    scores, _ = run_once(fine.apply, variables, images)
    # Interpolated twice by 2 and by 8 it is the same as at once by 32.
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet20"])
def test_a_pattern_that_moves_by_the_last_stride_moves_the_scores_by_as_much(name):
    """The scores lie where the image's patterns do, whatever is padded and cut."""
    module = network(name, stride=8 if name != "resnet20" else 4)
    backbone = module.backbone
    stride = feature_grids(backbone, (backbone.image_size,) * 2 + (3,))["logits"].stride
    side = 16 * stride
    square = jnp.zeros((1, side, side, 3)).at[:, side // 2 - stride : side // 2, side // 2 - stride : side // 2].set(3)
    variables = run_once(module.init, jax.random.key(1), square)
    both = jnp.concatenate([square, jnp.roll(square, (stride, -stride), (1, 2))])
    scores, moved = jnp.split(run_once(module.apply, variables, both)[0], 2)
    inner = slice(4 * stride, -4 * stride)
    expected = jnp.roll(scores, (stride, -stride), (1, 2))
    np.testing.assert_allclose(moved[:, inner, inner], expected[:, inner, inner], atol=1e-4)


def test_images_smaller_than_the_stride_are_refused():
    with pytest.raises(InvalidValue, match="at least 32 x 32"):
        shapes(network("resnet18"), (31, 64))


def test_strides_and_backbones_that_there_are_not_are_refused():
    with pytest.raises(InvalidValue, match=r"task.stride is 64.*32, 16, 8, 4, 2"):
        network("resnet18", stride=64)
    with pytest.raises(InvalidValue, match="can't be the backbone"):
        create("segmentation", INFO).network("lenet5", {})


def test_auxiliary_scores_have_the_images_size_in_training():
    module = network("googlenet")
    images = jnp.zeros((2, 64, 80, 3))
    key = jax.random.key(0)
    (_, maps), _ = jax.eval_shape(lambda: module.init_with_output({"params": key, "dropout": key}, images, train=True))
    assert maps["auxiliary1"].shape == maps["auxiliary2"].shape == (2, 64, 80, 3)
