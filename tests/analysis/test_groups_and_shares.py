"""Rows merged by their modules, and the lecture's remarks as numbers."""

import flax.linen as nn
import pytest
from jax import Array
from small_networks import Functional, LeNet, Network

from convnets import models
from convnets.analysis.layer_row import shares
from convnets.analysis.summary import group, summarize, total
from convnets.errors import InvalidValue


def test_a_groups_row_has_what_its_module_gives_and_the_sums_of_its_layers():
    summary = summarize(models.create("googlenet", 1000, auxiliary=False), (224, 224, 3))
    rows = group(summary, 1)
    inception = next(row for row in rows if row.path == "inception_3a")
    # The lecture's table: 28 x 28 x 256, 159K weights (and 368 biases here), 128M operations.
    assert (inception.kind, inception.output_shape) == ("inception", (1, 28, 28, 256))
    assert inception.parameters - 368 == 163_328 and round(inception.parameters / 1024) == 160
    assert round(inception.multiply_adds / 1e6) == 128
    # The first layers see 27 pixels, 8 apart, and a 5 x 5 reaches 4 steps further.
    assert (inception.receptive_field, inception.stride) == ((27 + 4 * 8,) * 2, (8, 8))
    assert [row.path for row in rows[:7]] == ["conv1", "pool1", "norm1", "conv2_reduce", "conv2", "norm2", "pool2"]
    assert rows[0].kind == "convolution 7×7/2"
    assert total(rows) == total(summary)


def test_groups_keep_the_rows_of_parents_and_of_both_calls_of_a_layer_together():
    rows = group(summarize(Network(), (8, 6, 3)), 1)
    assert [(row.path, row.kind, row.parameters, row.output_shape) for row in rows] == [
        ("", "network", 4, (1, 4)),
        ("stage2", "block", 123, (1, 8, 6, 4)),
        ("stage1", "block", 159, (1, 8, 6, 4)),
        ("shared", "fully connected", 20, (1, 4, 6, 4)),
        ("pool1", "global average pool", 0, (1, 4)),
    ]
    assert list(group(summarize(LeNet(), (32, 32, 1)), 3)) == list(summarize(LeNet(), (32, 32, 1)))
    with pytest.raises(InvalidValue, match="at least 1, and not 0"):
        group(summarize(LeNet(), (32, 32, 1)), 0)


def test_a_part_that_is_for_training_only_has_its_own_row_beside_the_module_that_it_belongs_to():
    class Heads(nn.Module):
        @nn.compact
        def __call__(self, x: Array) -> Array:
            if self.is_initializing():
                nn.Dense(7, name="auxiliary")(x)
            return nn.Dense(5, name="main")(x)

    summary = summarize(Functional(lambda m, x: Heads(name="heads", parent=m)(x)), (8, 6, 3))
    assert [(row.path, row.output_shape, row.parameters, row.training_only) for row in group(summary, 1)] == [
        ("heads", (1, 8, 6, 5), 20, False),
        ("heads", (1, 8, 6, 7), 28, True),
    ]


def test_the_lectures_remarks_on_vgg_as_numbers():
    found = shares(summarize(models.create("vgg16", 1000), (224, 224, 3)))
    # The slide's memory: two maps of 3.2M, two of 1.6M and three of 800K; all convolutions, pools and the last layers.
    early = 2 * 64 * 224**2 + 2 * 128 * 112**2 + 3 * 256 * 56**2
    convolutions = early + 3 * 512 * 28**2 + 3 * 512 * 14**2
    pools = 64 * 112**2 + 128 * 56**2 + 256 * 28**2 + 512 * 14**2 + 512 * 7**2
    assert (found.early_convolutions, found.convolutions) == (7, 13)
    assert found.early_activations == pytest.approx(early / (convolutions + pools + 4096 + 4096 + 1000))
    assert found.first_fully_connected == "fc6"
    assert found.first_fully_connected_parameters == pytest.approx((102_760_448 + 4096) / 138_357_544)
    assert found.fully_connected_parameters == pytest.approx(123_642_856 / 138_357_544)


def test_shares_of_what_a_network_does_not_have_are_none():
    found = shares(summarize(Functional(lambda m, x: nn.max_pool(x, (2, 2))), (8, 8, 3)))
    assert (found.convolutions, found.early_activations, found.fully_connected_parameters) == (0, None, None)
