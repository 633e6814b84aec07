"""Trees of parameters in two parts, and batch norms frozen within a network that is trained."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_variables import variables_of

from convnets import models
from convnets.errors import InvalidValue
from convnets.layers import implementation
from convnets.models.resnet import ResNet
from convnets.pretrained.freezing import divided, frozen_batch_norm, joined
from convnets.pretrained.patterns import flat, matching

SIDE = 16


def using(choice: str) -> contextlib.AbstractContextManager[None]:
    """Kernels of that choice, if they can be had."""
    try:
        implementation.check(choice if choice != "plain" else "auto", "the test")
    except InvalidValue as reason:
        pytest.skip(str(reason))
    return implementation.use(choice)


def network_and_variables(remat: bool = False) -> tuple[Any, Any, Any]:
    """A residual network of three blocks, variables of which none is at its initial value, and images."""
    network = ResNet(10, SIDE, (1, 1, 1), filters=4, stem="small", remat=remat)
    images = np.random.default_rng(0).normal(size=(4, SIDE, SIDE, 3)).astype(np.float32)
    return network, variables_of(network), images


def test_a_tree_is_the_two_parts_that_it_is_divided_into():
    tree = {"a": {"kernel": 1, "bias": 2}, "b": {"kernel": 3}, "c": {"d": {"scale": 4}}}
    trained, frozen = divided(tree, {("a", "bias"), ("c", "d", "scale")})
    assert trained == {"a": {"kernel": 1}, "b": {"kernel": 3}}
    assert frozen == {"a": {"bias": 2}, "c": {"d": {"scale": 4}}}
    assert joined(trained, frozen) == joined(frozen, trained) == tree
    assert divided(tree, ()) == (tree, {})


@pytest.mark.parametrize(("choice", "remat"), [("plain", False), ("onednn", True)])
def test_a_frozen_stage_responds_in_training_as_in_evaluation_and_its_statistics_stay(choice, remat):
    network, variables, images = network_and_variables(remat=remat)
    frozen = matching(flat(variables["params"]), ("conv1", "stage1*"), "")

    def train(variables: Any) -> Any:
        with frozen_batch_norm(frozen):
            return network.apply(variables, images, train=True, mutable=["batch_stats"])

    with using(choice):
        (_, maps), updates = jax.jit(train)(variables)
        _, evaluated = jax.jit(lambda variables: network.apply(variables, images, train=False))(variables)
    for name in ("stem", "stage1"):
        np.testing.assert_array_equal(maps[name], evaluated[name])
    assert np.abs(maps["stage2"] - evaluated["stage2"]).max() > 0.1
    before = flat(variables["batch_stats"])
    moved = {path for path, array in flat(updates["batch_stats"]).items() if np.any(array != before[path])}
    assert moved == {path for path in before if not path[0].startswith(("conv1", "stage1"))}


def test_a_norm_of_which_only_the_scale_is_frozen_goes_by_the_mini_batch():
    network, variables, images = network_and_variables()

    def train(frozen: Any) -> Any:
        def logits(variables: Any) -> Any:
            with frozen_batch_norm(frozen):
                return network.apply(variables, images, train=True, mutable=["batch_stats"])[0][0]

        return jax.jit(logits)(variables)

    norms = matching(flat(variables["params"]), ("*/norm",), "")
    scales = {path for path in norms if path[-1] == "scale"}
    np.testing.assert_array_equal(train(scales), train(frozenset()))
    assert np.any(train(norms) != train(frozenset()))


def test_a_norm_outside_of_a_convolution_is_held_still_too():
    network = models.create("lenet5_bn", 10)
    images = jax.random.normal(jax.random.key(1), (4, 32, 32, 1)) + 1

    @jax.jit
    def train_and_evaluate(key: Any) -> Any:
        variables = network.init(key, images)
        with frozen_batch_norm({("norm1", "scale"), ("norm1", "bias")}):
            (_, maps), updates = network.apply(variables, images, train=True, mutable=["batch_stats"])
        return maps["stage1"], network.apply(variables, images, train=False)[1]["stage1"], updates["batch_stats"]

    trained, evaluated, statistics = train_and_evaluate(jax.random.key(0))
    np.testing.assert_array_equal(trained, evaluated)
    np.testing.assert_array_equal(statistics["norm1"]["mean"], np.zeros(6))
    assert np.any(statistics["norm2"]["mean"] != 0)


@pytest.mark.parametrize(
    ("choice", "patterns"),
    [("xla", ("stage2*",)), ("onednn", ("stage2*",)), ("onednn", ("*/norm",)), ("onednn", ("stage1*", "stage3*"))],
)
def test_gradients_pass_through_frozen_layers_alike_with_all_kernels(choice, patterns):
    network, variables, images = network_and_variables()
    frozen = matching(flat(variables["params"]), patterns, "")

    def gradient(choice: str) -> Any:
        def loss(trained: Any, held: Any, images: Any) -> Any:
            with frozen_batch_norm(frozen):
                own = variables | {"params": joined(trained, held)}
                (logits, _), _ = network.apply(own, images, train=True, mutable=["batch_stats"])
            return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - logits[:, 0])

        with using(choice):
            return jax.jit(jax.grad(loss, argnums=(0, 2)))(*divided(variables["params"], frozen), images)

    actual, expected = gradient(choice), gradient("plain")
    assert not frozen & set(flat(actual[0])), "there is no gradient of what is frozen"

    def close(one: Any, other: Any) -> None:
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-4 * np.abs(other).max())

    jax.tree.map(close, actual, expected)


def test_the_compiled_program_has_no_kernel_gradient_of_what_is_frozen():
    network, variables, images = network_and_variables()
    layers = matching(flat(variables["params"]), ("conv1", "stage2*"), "")

    def kernel_gradients(frozen: Any) -> int:
        def loss(trained: Any, held: Any) -> Any:
            with frozen_batch_norm(frozen):
                own = variables | {"params": joined(trained, held)}
                (logits, _), _ = network.apply(own, images, train=True, mutable=["batch_stats"])
            return jnp.mean(logits[:, 0])

        with using("direct"):
            lowered = jax.jit(jax.grad(loss)).lower(*divided(variables["params"], frozen))
        return lowered.compile().as_text().count('"convnets_convolution_kernel_gradient"')

    everything = kernel_gradients(frozenset())
    # conv1, and two convolutions and a projection in the only block of stage 2.
    assert (everything, kernel_gradients(layers)) == (9, 5)
