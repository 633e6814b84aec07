"""The rows of a network, against counts by hand and against the tree of parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import Array
from small_networks import Block, Functional, LeNet, Network, by_path, convolution

from convnets import models
from convnets.analysis.summary import LayerRow, summarize, total
from convnets.errors import InvalidValue

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


def test_a_shared_layer_works_each_time_that_it_is_called():
    first, second = (row for row in summarize(Network(), (8, 6, 3), batch=5) if row.path == "shared")
    assert (first.multiply_adds, second.multiply_adds) == (5 * 8 * 6 * 16, 5 * 4 * 6 * 16)
    assert (first.output_shape, second.output_shape) == ((5, 8, 6, 4), (5, 4, 6, 4))


def test_an_array_that_a_parent_passes_on_is_counted_as_memory_once():
    rows = by_path(summarize(Network(), (8, 6, 3)))
    assert rows["pool1"].activation_bytes == 4 * 4 and rows[""].activation_bytes == 0
    assert rows["stage1"].activation_bytes == rows["stage1/norm"].activation_bytes == 4 * 8 * 6 * 4


WRAPPED = [
    nn.remat(Block, static_argnums=(2,)),
    nn.jit(Block, static_argnums=(2,)),
    nn.remat(nn.jit(Block, static_argnums=(2,)), static_argnums=(2,)),
]


@pytest.mark.parametrize("block", WRAPPED)
def test_rematerialized_and_jitted_modules_are_counted_alike_every_time(block):
    plain = summarize(Network(), (8, 6, 4))
    for _ in range(2):
        assert summarize(Network(block), (8, 6, 4)) == plain


@pytest.mark.parametrize("name", ["vgg11_bn", "googlenet", "resnet18"])
def test_rematerialized_architectures_have_the_same_rows(name):
    plain, again = (models.create(name, 10, stem="small", remat=remat) for remat in (False, True))
    assert summarize(plain, (32, 32, 3)) == summarize(again, (32, 32, 3))


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
