import io
import json
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import Array
from rich.console import Console

from convnets.analysis.summary import LayerRow, print_summary, rows_as_json, summarize

Output = tuple[Array, dict[str, Array]]


class LeNet(nn.Module):
    """Written by hand, so that the counts below are those of the paper and of nobody's code."""

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Output:
        stem = nn.avg_pool(nn.tanh(nn.Conv(6, (5, 5), padding=0, name="conv1")(images)), (2, 2), (2, 2))
        x = nn.avg_pool(nn.tanh(nn.Conv(16, (5, 5), padding=0, name="conv2")(stem)), (2, 2), (2, 2))
        x = nn.tanh(nn.Dense(120, name="fc3")(x.reshape(len(x), -1)))
        x = nn.tanh(nn.Dense(84, name="fc4")(x))
        return nn.Dense(10, name="logits")(x), {"stem": stem, "pre_logits": x}


class Block(nn.Module):
    """Owns a parameter and a statistic itself and has children too."""

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        scale = self.param("scale", nn.initializers.ones, (7,))
        self.variable("batch_stats", "count", jnp.zeros, (2,))
        x = nn.Conv(4, (3, 3), padding=1, use_bias=False, name="convolution")(x)
        return nn.BatchNorm(use_running_average=not train, name="norm")(x) * scale.mean()


class Network(nn.Module):
    block: Callable[..., nn.Module] = Block

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Output:
        x = images
        for stage in (2, 1):
            x = self.block(name=f"stage{stage}")(x, train)
        shared = nn.Dense(4, name="shared")
        x = nn.Dropout(0.5, name="dropout")(shared(shared(x)[:, ::2]), deterministic=not train)
        x = x + self.param("bias", nn.initializers.zeros, (4,))
        return x.mean((1, 2)), {"pre_logits": x}


def entries(network: nn.Module, shape: tuple[int, int, int], collection: str) -> int:
    images = jnp.zeros((1, *shape))
    variables = jax.eval_shape(lambda key: network.init(key, images, train=False), jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(variables[collection]))


def test_lenet_has_the_61706_parameters_of_the_lecture() -> None:
    rows = summarize(LeNet(), (32, 32, 1))
    assert rows == [
        LayerRow("conv1", "Conv", (1, 28, 28, 6), 156, 0),
        LayerRow("conv2", "Conv", (1, 10, 10, 16), 2416, 0),
        LayerRow("fc3", "Dense", (1, 120), 48120, 0),
        LayerRow("fc4", "Dense", (1, 84), 10164, 0),
        LayerRow("logits", "Dense", (1, 10), 850, 0),
    ]
    assert sum(row.parameters for row in rows) == entries(LeNet(), (32, 32, 1), "params") == 61_706


def test_every_entry_is_counted_once_also_in_shared_layers_and_in_parents_that_own_some() -> None:
    rows = summarize(Network(), (8, 6, 3))
    assert [(row.path, row.parameters, row.statistics) for row in rows] == [
        ("", 4, 0),
        ("stage2", 7, 2),
        ("stage2/convolution", 108, 0),
        ("stage2/norm", 8, 8),
        ("stage1", 7, 2),
        ("stage1/convolution", 144, 0),
        ("stage1/norm", 8, 8),
        ("shared", 20, 0),
        ("dropout", 0, 0),
    ]
    assert sum(row.parameters for row in rows) == entries(Network(), (8, 6, 3), "params")
    assert sum(row.statistics for row in rows) == entries(Network(), (8, 6, 3), "batch_stats")


def test_rematerialized_blocks_are_counted_alike_every_time() -> None:
    plain = [(row.path, row.parameters, row.statistics) for row in summarize(Network(), (8, 6, 3))]
    network = Network(nn.remat(Block, static_argnums=(2,)))
    for _ in range(2):
        again = [(row.path, row.parameters, row.statistics) for row in summarize(network, (8, 6, 3))]
        assert again == plain


def test_shapes_are_those_of_the_batch_asked_for() -> None:
    rows = {row.path: row.output_shape for row in summarize(Network(), (8, 6, 3), batch=5)}
    assert rows["stage1/convolution"] == (5, 8, 6, 4)
    assert rows["shared"] == (5, 8, 6, 4), "of its first call; the second sees half the rows"
    assert rows["dropout"] == (5, 4, 6, 4)
    assert rows[""] == (5, 4)


def test_nothing_is_computed_even_for_a_network_that_fits_no_memory() -> None:
    class Huge(nn.Module):
        @nn.compact
        def __call__(self, images: Array, train: bool) -> Output:
            return nn.Dense(1_000_000, name="huge")(images.reshape(len(images), -1)), {}

    [row] = summarize(Huge(), (1000, 1000, 3))
    assert row.parameters == 3_000_001_000_000


@pytest.mark.parametrize(("shape", "batch"), [((32, 32), 1), ((32, 0, 1), 1), ((32, 32, 1), 0)])
def test_shapes_that_are_no_image_are_refused(shape: tuple[int, ...], batch: int) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, C\)"):
        summarize(LeNet(), shape, batch)  # type: ignore[arg-type]


def test_the_printed_table_has_every_layer_and_the_totals() -> None:
    console = Console(file=io.StringIO(), width=100)
    print_summary(summarize(Network(), (8, 6, 3)), console, "Network on 8 x 6")
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "Network on 8 x 6" in text and "(network)" in text and "1 × 8 × 6 × 4" in text
    [total] = [line for line in text.splitlines() if "total" in line]
    assert "306" in total and "20" in total

    print_summary(summarize(LeNet(), (32, 32, 1)), console, "LeNet")
    assert "61,706" in console.file.getvalue()


def test_rows_go_through_json() -> None:
    rows = summarize(LeNet(), (32, 32, 1))
    again = [
        LayerRow(**(row | {"output_shape": tuple(row["output_shape"])}))
        for row in json.loads(json.dumps(rows_as_json(rows)))
    ]
    assert again == rows
