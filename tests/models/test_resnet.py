"""Residual networks against tables 1 and 6 of the paper, and its three shortcuts against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import abstract, images, outputs, run_once

from convnets import models
from convnets.analysis.summary import summarize
from convnets.layers import BatchNorm
from convnets.models.resnet import Block

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Table 1."""


def convolutions(name, **options):
    """The convolutions of each module, as words such as "3×3/2"."""
    network = models.create(name, 10, **options)
    found = {}
    for row in summarize(network, (network.image_size, network.image_size, 3)):
        if row.kind.startswith("convolution"):
            found.setdefault(row.path.split("/")[0], []).append(row.kind.removeprefix("convolution "))
    return found


def expected(depth, block, projected, stages):
    """Of the same form: `block(stride)` in words, after a projection 1×1 where `projected(stage, number)` says so."""
    words = {}
    for stage, count in enumerate(stages, 1):
        for number in range(1, count + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            projection = [f"1×1/{stride}"] if projected(stage, number) else []
            words[f"stage{stage}_block{number}"] = projection + block(stride).split()
    return words


@pytest.mark.parametrize("depth", [18, 34])
def test_small_imagenet_nets_are_all_3x3_and_project_only_where_the_shape_changes(depth):
    found = convolutions(f"resnet{depth}")
    assert found.pop("conv1") == ["7×7/2"]
    changes = lambda stage, number: stage > 1 and number == 1  # noqa: E731
    assert found == expected(depth, lambda s: f"3×3/{s} 3×3/1", changes, BLOCKS[depth])


@pytest.mark.parametrize("depth", [50, 101, 152])
@pytest.mark.parametrize(
    ("suffix", "block"), [("", "1×1/{s} 3×3/1 1×1/1"), ("_v1_5", "1×1/1 3×3/{s} 1×1/1")], ids=["paper", "v1.5"]
)
def test_bottlenecks_halve_the_map_in_the_1x1_or_in_the_3x3(depth, suffix, block):
    found = convolutions(f"resnet{depth}{suffix}")
    assert found.pop("conv1") == ["7×7/2"]
    first = lambda stage, number: number == 1  # noqa: E731
    assert found == expected(depth, lambda s: block.format(s=s), first, BLOCKS[depth])


@pytest.mark.parametrize("name", ["resnet18", "resnet20"])
def test_shortcuts_project_nowhere_or_where_the_shape_changes_or_everywhere(name):
    stages = BLOCKS[18] if name == "resnet18" else (3, 3, 3)
    where = {
        "A": lambda stage, number: False,
        "B": lambda stage, number: stage > 1 and number == 1,
        "C": lambda stage, number: True,
    }
    for shortcut, projected in where.items():
        found = convolutions(name, shortcut=shortcut)
        found.pop("conv1")
        assert found == expected(0, lambda s: f"3×3/{s} 3×3/1", projected, stages), shortcut


def test_the_paper_projects_where_the_shape_changes_on_imagenet_and_nowhere_on_cifar():
    assert models.create("resnet34", 10) == models.create("resnet34", 10, shortcut="B")
    assert models.create("resnet56", 10) == models.create("resnet56", 10, shortcut="A")


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_cifar_nets_have_6n_plus_2_layers_of_16_32_and_64_filters(depth):
    network = models.create(f"resnet{depth}", 10)
    rows = summarize(network, (32, 32, 3))
    layers = [row for row in rows if row.kind.startswith(("convolution", "fully"))]
    assert len(layers) == depth
    assert {row.kind for row in layers[:-1]} == {"convolution 3×3/1", "convolution 3×3/2"}
    _, maps = outputs(network)
    shapes = {name: value.shape[1:] for name, value in maps.items()}
    assert shapes == {
        "stem": (32, 32, 16),
        "stage1": (32, 32, 16),
        "stage2": (16, 16, 32),
        "stage3": (8, 8, 64),
        "pre_logits": (1, 1, 64),
    }


@pytest.mark.parametrize("name", ["resnet34", "resnet50", "resnet50_v1_5"])
def test_imagenet_nets_have_the_maps_of_table_1(name):
    _, maps = outputs(models.create(name, 1000))
    wider = 1 if name == "resnet34" else 4
    assert {name: value.shape[1:] for name, value in maps.items()} == {
        "stem": (112, 112, 64),
        "stage1": (56, 56, 64 * wider),
        "stage2": (28, 28, 128 * wider),
        "stage3": (14, 14, 256 * wider),
        "stage4": (7, 7, 512 * wider),
        "pre_logits": (1, 1, 512 * wider),
    }


@pytest.mark.parametrize(
    ("plain", "residual"), [("plain18", "resnet18"), ("plain34", "resnet34"), ("plain20", "resnet20")]
)
def test_plain_nets_are_the_residual_ones_without_shortcuts(plain, residual):
    parameters = abstract(models.create(plain, 10))["params"]
    with_padding = abstract(models.create(residual, 10, shortcut="A"))["params"]
    assert jax.tree.map(lambda leaf: leaf.shape, parameters) == jax.tree.map(lambda leaf: leaf.shape, with_padding)
    assert convolutions(plain) == convolutions(residual, shortcut="A")


def test_a_batch_norm_follows_every_convolution_and_there_is_no_dropout_and_no_bias():
    for name in ("resnet18", "resnet50", "plain20"):
        network = models.create(name, 10)
        kinds = [row.kind for row in summarize(network, (network.image_size, network.image_size, 3))]
        for number, kind in enumerate(kinds):
            if kind.startswith("convolution"):
                assert kinds[number + 1] == "batch norm"
        paths = jax.tree_util.tree_leaves_with_path(abstract(network)["params"])
        assert not [path for path, _ in paths if path[-2].key == "convolution" and path[-1].key == "bias"]
        assert "dropout" not in models.architectures.options(name)


@pytest.mark.parametrize(("shortcut", "stride", "channels"), [("A", 2, 5), ("B", 2, 5), ("A", 1, 8), ("B", 1, 8)])
def test_a_shortcut_is_the_identity_zeros_for_new_filters_or_a_projection(shortcut, stride, channels):
    x = images(2, 6, channels=channels)
    block = Block(8, stride, False, "", shortcut, zero_init=True, norm=BatchNorm, dtype=jnp.float32)
    variables = run_once(lambda: block.init(jax.random.key(0), x, False))
    expected = np.zeros((2, 6 // stride, 6 // stride, 8))
    if "projection" in variables["params"]:
        kernel = np.asarray(variables["params"]["projection"]["convolution"]["kernel"])[0, 0]
        expected += x[:, ::stride, ::stride] @ kernel / np.sqrt(1 + 1e-5)
    else:
        expected[..., :channels] = x[:, ::stride, ::stride]
    assert ("projection" in variables["params"]) == (shortcut == "B" and stride == 2)
    # The last scale is zero, so that F(x) is.
    np.testing.assert_allclose(block.apply(variables, x, False), np.maximum(expected, 0), atol=1e-5)
