"""Rematerialized networks: the same results, and less kept for the backward pass."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import abstract, images, random_variables, run_once

from convnets import models
from convnets.layers.rematerialization import chain
from convnets.models.resnet import ResNet
from convnets.parallel import KEEP_BARRIERS


def loss_of(network: nn.Module) -> Any:
    def loss(params: Any, batch_stats: Any, x: Any) -> Any:
        variables = {"params": params, "batch_stats": batch_stats}
        (logits, _), changed = network.apply(
            variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
        )
        return -jax.nn.log_softmax(logits)[:, 3].mean(), changed

    return loss


def kept_bytes(network: nn.Module, count: int = 128, side: int = 32) -> int:
    """Of all that the forward pass hands to the backward pass, parameters and images included."""
    variables = abstract(network, side)
    x = jax.ShapeDtypeStruct((count, side, side, 3), jnp.float32)

    def kept(params: Any, batch_stats: Any, x: Any) -> Any:
        return jax.vjp(lambda p: loss_of(network)(p, batch_stats, x)[0], params)[1]

    arrays = jax.tree.leaves(jax.eval_shape(kept, variables["params"], variables.get("batch_stats", {}), x))
    return sum(array.size * array.dtype.itemsize for array in arrays)


@pytest.mark.parametrize(
    "name", ["vgg_a_lrn", "vgg16_bn", "googlenet", "googlenet_bn", "resnet18", "resnet50", "resnet20"]
)
def test_no_name_and_no_shape_changes(name):
    plain, again = (abstract(models.create(name, 10, remat=remat)) for remat in (False, True))
    assert jax.tree.map(lambda leaf: leaf.shape, plain) == jax.tree.map(lambda leaf: leaf.shape, again)


def test_no_result_changes():
    x = images(4, 16)
    results = []
    for remat in (False, True):
        network = ResNet(10, 16, (3, 2), filters=4, bottleneck=True, stem="small", remat=remat)
        variables = random_variables(network)
        function = jax.value_and_grad(loss_of(network), has_aux=True)
        results.append(run_once(function, variables["params"], variables["batch_stats"], x))
    assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
    for one, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(one).max())


def test_what_is_kept_grows_as_the_square_root_of_the_depth():
    plain, remat = (
        {depth: kept_bytes(models.create(f"resnet{depth}", 10, remat=remat)) for depth in (20, 56, 110)}
        for remat in (False, True)
    )
    for depth in plain:
        print(f"resnet{depth}: {plain[depth] / 2**20:,.0f} MiB kept, {remat[depth] / 2**20:,.0f} MiB with remat")
    assert plain[110] > 5 * plain[20]
    # A stage of 3 blocks has 3 segments, of 18 blocks 5.
    assert remat[110] < 1.8 * remat[20]
    assert remat[110] < plain[110] / 15


@pytest.mark.parametrize(("name", "share"), [("vgg16_bn", 0.8), ("googlenet", 0.7), ("resnet50", 0.3)])
def test_less_is_kept(name, share):
    plain, remat = (kept_bytes(models.create(name, 10, stem="small", remat=remat), count=32) for remat in (False, True))
    assert remat < share * plain


def test_the_compiled_step_takes_less_memory():
    memory = []
    for remat in (False, True):
        network = ResNet(10, 32, (9,), filters=16, stem="small", remat=remat)
        variables = abstract(network)
        x = jax.ShapeDtypeStruct((64, 32, 32, 3), jnp.float32)
        step = jax.jit(jax.grad(loss_of(network), has_aux=True), compiler_options=KEEP_BARRIERS)
        compiled = step.lower(variables["params"], variables["batch_stats"], x).compile()
        memory.append(compiled.memory_analysis().temp_size_in_bytes)
    assert memory[1] < memory[0] / 2


class Affine(nn.Module):
    number: int

    @nn.compact
    def __call__(self, x, train):
        return 2 * x + self.number + (100 if train else 0)


class Chained(nn.Module):
    blocks: int
    remat: bool

    @nn.compact
    def __call__(self, x, train):
        return chain([Affine(number) for number in range(self.blocks)], x, train, self.remat)


@pytest.mark.parametrize("train", [False, True])
def test_blocks_are_called_in_their_order_whatever_their_number(train):
    for blocks in (0, 1, 2, 3, 5, 9, 10):
        expected = 1
        for number in range(blocks):
            expected = 2 * expected + number + (100 if train else 0)
        for remat in (False, True):
            assert Chained(blocks, remat).apply({}, jnp.int32(1), train) == expected
