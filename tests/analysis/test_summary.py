"""The rows of a network, their names, groups and shares, against counts by hand and the tree of parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import Array
from small_networks import Block, Functional, LeNet, Network, Output, by_path, convolution

from convnets import models
from convnets.analysis.summary import LayerRow, group, summarize, total
from convnets.analysis.summary_table import shares
from convnets.errors import InvalidValue
from convnets.layers import TransposedConvolution

Maps = tuple[Array, dict[str, Array]]


class Supervised(nn.Module):
    """Has an auxiliary classifier, which inference leaves out."""

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Maps:
        x = nn.Conv(4, (3, 3), (2, 2), padding=1, name="conv1")(images)
        if train or self.is_initializing():
            self.auxiliary(x)
        return nn.Dense(3, name="logits")(nn.relu(x).mean((1, 2))), {}

    def auxiliary(self, x: Array) -> Array:
        def classify(module: nn.Module, x: Array) -> Array:
            x = convolution(module, nn.avg_pool(x, (2, 2), (2, 2)), 1, features=5, name="reduce")
            return nn.Dense(3, name="logits", parent=module)(x.reshape(len(x), -1))

        return Head(classify, name="auxiliary")(x)


class Head(Functional):
    """A part of a network that is a function."""

    @nn.compact
    def __call__(self, images: Array) -> Array:  # type: ignore[override]
        return self.function(self, images)


def entries(network: nn.Module, shape: tuple[int, int, int], collection: str) -> int:
    images = jnp.zeros((1, *shape))
    variables = jax.eval_shape(lambda key: network.init(key, images, train=False), jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(variables[collection]))


def test_lenet_by_hand():
    def window(size, stride):
        return {"receptive_field": (size, size), "stride": (stride, stride), "offset": (0, 0)}

    whole = window(32, 4)
    summary = summarize(LeNet(), (32, 32, 1))
    assert list(summary) == [
        LayerRow("conv1", "convolution 5×5/1", (1, 28, 28, 6), 156, 0, 117_600, 4 * 4704, **window(5, 1)),
        LayerRow("pool1", "average pool 2×2/2", (1, 14, 14, 6), 0, 0, 0, 4 * 1176, **window(6, 2)),
        LayerRow("conv2", "convolution 5×5/1", (1, 10, 10, 16), 2416, 0, 240_000, 4 * 1600, **window(14, 2)),
        LayerRow("pool2", "average pool 2×2/2", (1, 5, 5, 16), 0, 0, 0, 4 * 400, **window(16, 4)),
        LayerRow("fc3", "fully connected", (1, 120), 48_120, 0, 48_000, 4 * 120, **whole),
        LayerRow("fc4", "fully connected", (1, 84), 10_164, 0, 10_080, 4 * 84, **whole),
        LayerRow("logits", "fully connected", (1, 10), 850, 0, 840, 4 * 10, **whole),
    ]
    assert total(summary).parameters == entries(LeNet(), (32, 32, 1), "params") == 61_706
    assert total(summary).multiply_adds == 416_520


def test_the_librarys_lenet_is_the_same_but_for_the_shapes_of_its_fully_connected_layers():
    ours, by_hand = summarize(models.create("lenet5", 10), (32, 32, 1)), summarize(LeNet(), (32, 32, 1))
    for mine, other in zip(ours, by_hand, strict=True):
        shape = mine.output_shape if len(other.output_shape) == 4 else (1, mine.output_shape[-1])
        assert LayerRow(**(vars(mine) | {"output_shape": shape})) == other


def test_every_entry_is_counted_once_also_in_shared_layers_and_in_parents_that_own_some():
    summary = summarize(Network(), (8, 6, 3))
    assert [(row.path, row.parameters, row.statistics) for row in summary] == [
        ("", 4, 0),
        ("stage2", 7, 2),
        ("stage2/convolution", 108, 0),
        ("stage2/norm", 8, 8),
        ("stage1", 7, 2),
        ("stage1/convolution", 144, 0),
        ("stage1/norm", 8, 8),
        ("shared", 20, 0),
        ("shared", 0, 0),
        ("pool1", 0, 0),
    ]
    assert total(summary).parameters == entries(Network(), (8, 6, 3), "params")
    assert total(summary).statistics == entries(Network(), (8, 6, 3), "batch_stats")


def test_a_shared_layer_works_at_every_call_and_an_array_that_a_parent_passes_on_is_counted_as_memory_once():
    first, second = (row for row in summarize(Network(), (8, 6, 3), batch=5) if row.path == "shared")
    assert (first.multiply_adds, second.multiply_adds) == (5 * 8 * 6 * 16, 5 * 4 * 6 * 16)
    assert (first.output_shape, second.output_shape) == ((5, 8, 6, 4), (5, 4, 6, 4))
    rows = by_path(summarize(Network(), (8, 6, 3)))
    assert rows["pool1"].activation_bytes == 4 * 4 and rows[""].activation_bytes == 0
    assert rows["stage1"].activation_bytes == rows["stage1/norm"].activation_bytes == 4 * 8 * 6 * 4


@pytest.mark.parametrize("wrappers", [[nn.remat], [nn.jit], [nn.jit, nn.remat]])
def test_rematerialized_and_jitted_modules_are_counted_alike_every_time(wrappers):
    plain, block = summarize(Network(), (8, 6, 4)), Block
    for wrapper in wrappers:
        block = wrapper(block, static_argnums=(2,))
    for _ in range(2):
        assert summarize(Network(block), (8, 6, 4)) == plain


def test_jitted_modules_of_one_class_are_told_apart_and_so_are_two_calls_of_one():
    block = nn.jit(Block, static_argnums=(2,))

    def network(module, x):
        first = block(name="first", parent=module)
        x = first(first(x, False), False)
        return block(name="second", parent=module)(x, False)

    rows = summarize(Functional(network), (8, 6, 4))
    assert [row.path for row in rows if row.multiply_adds] == ["first/convolution"] * 2 + ["second/convolution"]
    assert [row.parameters for row in rows if row.multiply_adds] == [144, 0, 144]
    assert [row.receptive_field for row in rows if row.multiply_adds] == [(3, 3), (5, 5), (7, 7)]


def test_auxiliary_classifiers_come_last_and_not_into_the_totals():
    summary = summarize(Supervised(), (8, 8, 3))
    assert [(row.path, row.kind, row.parameters, row.multiply_adds, row.training_only) for row in summary] == [
        ("conv1", "convolution 3×3/2", 112, 16 * 4 * 27, False),
        ("pool1", "global average pool", 0, 0, False),
        ("logits", "fully connected", 15, 12, False),
        ("auxiliary/pool1", "average pool 2×2/2", 0, 0, True),
        ("auxiliary/reduce", "convolution 1×1/1", 25, 4 * 4 * 5, True),
        ("auxiliary/logits", "fully connected", 63, 60, True),
    ]
    assert total(summary).parameters + total(summary, training_only=True).parameters == entries(
        Supervised(), (8, 8, 3), "params"
    )
    assert total(summary, training_only=True).multiply_adds == 140
    assert by_path(summary)["auxiliary/reduce"].receptive_field == (5, 5)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2)])
def test_memory_is_that_of_the_type_which_each_output_really_has(dtype, size):
    def network(module, x):
        x = nn.Conv(4, (3, 3), dtype=dtype, name="conv", parent=module)(x)
        x = nn.avg_pool(x, (2, 2), (2, 2)).mean((1, 2))
        return nn.Dense(10, name="logits", parent=module)(x)

    rows = by_path(summarize(Functional(network), (8, 6, 3), batch=7))
    assert rows["conv"].activation_bytes == 7 * 8 * 6 * 4 * size
    assert rows["pool1"].activation_bytes == 7 * 4 * 3 * 4 * size
    assert rows["pool2"].activation_bytes == 7 * 4 * size
    assert rows["logits"].activation_bytes == 7 * 10 * 4


def test_nothing_is_computed_even_for_a_network_that_fits_no_memory():
    def huge(module, x):
        return nn.Dense(1_000_000, name="huge", parent=module)(x.reshape(len(x), -1))

    [row] = summarize(Functional(huge), (1000, 1000, 3), batch=10**6)
    assert row.parameters == 3_000_001_000_000
    assert row.multiply_adds == 3 * 10**18
    assert row.receptive_field == (1000, 1000)


@pytest.mark.parametrize(("shape", "batch"), [((32, 32), 1), ((32, 0, 1), 1), ((32, 32, 1), 0)])
def test_shapes_that_are_no_image_are_refused(shape, batch):
    with pytest.raises(InvalidValue, match=r"\(H, W, C\)"):
        summarize(LeNet(), shape, batch)


class MaxPool(nn.Module):
    """A pool that is a module."""

    def __call__(self, x: Array) -> Array:
        return nn.max_pool(x, (3, 2), (2, 2))


class LRN(nn.Module):
    """Sums over neighbouring channels, by a window."""

    def __call__(self, x: Array) -> Array:
        return x / (1 + nn.avg_pool(jnp.square(x)[..., None], (1, 1, 3), (1, 1, 1), "SAME")[..., 0])


class PReLU(nn.Module):
    """Works entry by entry, but owns a parameter."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return jnp.where(x > 0, x, self.param("slope", nn.initializers.zeros, ()) * x)


class ReLU(nn.Module):
    """Works entry by entry."""

    def __call__(self, x: Array) -> Array:
        return nn.relu(x)


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (lambda m, x: convolution(m, x, 11, 4), ["convolution 11×11/4"]),
        (lambda m, x: convolution(m, x, (1, 7), (2, 1)), ["convolution 1×7/2×1"]),
        (lambda m, x: convolution(m, x, 3, dilation=2, groups=2), ["convolution 3×3/1, dilation 2, 2 groups"]),
        (lambda m, x: TransposedConvolution(5, 4, 2, 1, parent=m)(x), ["transposed convolution 4×4/2"]),
        (
            lambda m, x: TransposedConvolution(5, 3, 2, dilation=3, parent=m)(x),
            ["transposed convolution 3×3/2, dilation 3"],
        ),
        (lambda m, x: TransposedConvolution(5, 3, parent=m)(x), ["transposed convolution 3×3/1"]),
        (lambda m, x: nn.ConvTranspose(5, (3, 4), (2, 1), parent=m)(x), ["transposed convolution 3×4/2×1"]),
        (lambda m, x: nn.max_pool(x, (3, 3), (2, 2)), ["max pool 3×3/2"]),
        (lambda m, x: nn.avg_pool(x, (7, 7)), ["average pool 7×7/1"]),
        (lambda m, x: x.max((1, 2)), ["global max pool"]),
        (lambda m, x: jnp.mean(x.reshape(len(x), -1, 4), 1), ["global average pool"]),
        (lambda m, x: jnp.mean(x, (1, 2), keepdims=True), ["global average pool"]),
        (lambda m, x: nn.avg_pool(x, (2, 2)) * 4, ["average pool 2×2/1"]),
        (lambda m, x: nn.pooling.pool(x, 0.0, jax.lax.add, (2, 2), (2, 2), "VALID") + 1, ["sum pool 2×2/2"]),
        (lambda m, x: x.sum((1, 2)), ["global sum pool"]),
        (lambda m, x: MaxPool(name="pool", parent=m)(x), ["max pool 3×2/2"]),
        (lambda m, x: LRN(name="lrn", parent=m)(x), ["LRN"]),
        (lambda m, x: PReLU(name="prelu", parent=m)(ReLU(name="relu", parent=m)(x)), ["PReLU"]),
        (lambda m, x: nn.Dropout(0.5, deterministic=True, parent=m)(x[:, ::2]), []),
    ],
)
def test_kinds_are_said_in_words(function, kinds):
    assert [row.kind for row in summarize(Functional(function), (32, 32, 4))] == kinds


def test_pools_are_numbered_around_the_modules_that_have_such_names():
    def network(module, x):
        x = Output(name="pool1", parent=module)(nn.max_pool(x, (2, 2), (2, 2)))
        return nn.max_pool(x, (2, 2), (2, 2))

    assert [row.path for row in summarize(Functional(network), (8, 8, 3))] == ["pool2", "pool1", "pool3"]


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
    assert found == {
        "convolutions": 13,
        "early_convolutions": 7,
        "early_activations": pytest.approx(early / (convolutions + pools + 4096 + 4096 + 1000)),
        "first_fully_connected": "fc6",
        "first_fully_connected_parameters": pytest.approx((102_760_448 + 4096) / 138_357_544),
        "fully_connected_parameters": pytest.approx(123_642_856 / 138_357_544),
    }


def test_shares_of_what_a_network_does_not_have_are_none():
    found = shares(summarize(Functional(lambda m, x: nn.max_pool(x, (2, 2))), (8, 8, 3)))
    assert (found["convolutions"], found["early_activations"], found["fully_connected_parameters"]) == (0, None, None)
