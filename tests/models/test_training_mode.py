"""Each kind of network forward and backward for real, on small images in bfloat16."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import images, random_variables, run_once
from jax.tree_util import DictKey

from convnets import models

NETWORKS = {
    "alexnet": {"stem": "small", "image_size": 16, "groups": 2},
    "vgg_a_lrn": {"stem": "small", "image_size": 16},
    "vgg_c_bn": {"stem": "small", "image_size": 16},
    "googlenet": {"stem": "small"},
    "resnet18": {"stem": "small", "shortcut": "C"},
    "resnet50_v1_5": {"stem": "small"},
    "resnet20": {"shortcut": "B"},
    "plain20": {},
}


def auxiliary(maps: dict[str, Any]) -> list[Any]:
    return [value for name, value in maps.items() if name.startswith("auxiliary")]


@pytest.mark.parametrize(("name", "options"), NETWORKS.items())
def test_every_parameter_has_a_gradient_in_bfloat16(name, options):
    """And training differs from inference where it should: by statistics, auxiliary classifiers and dropout."""
    network = models.create(name, 10, dtype="bfloat16", **options)
    x = images(8, network.image_size)
    variables = random_variables(network)
    statistics = variables.get("batch_stats", {})

    def loss(params: Any) -> Any:
        given = {"params": params, "batch_stats": statistics}
        (logits, maps), changed = network.apply(
            given, x, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
        )
        labels = jnp.arange(8)
        heads = [logits, *auxiliary(maps)]
        total = -sum(jnp.take_along_axis(jax.nn.log_softmax(head), labels[:, None], 1).sum() for head in heads)
        inference, quiet = network.apply(given, x, train=False)
        return total, (changed.get("batch_stats", {}), logits, inference, len(heads), auxiliary(quiet))

    gradient, (moved, logits, inference, heads, none) = run_once(jax.grad(loss, has_aux=True), variables["params"])
    for path, value in jax.tree_util.tree_leaves_with_path(gradient):
        name_of = jax.tree_util.keystr(path)
        value = np.asarray(value)
        assert value.dtype == np.float32 and np.isfinite(value).all(), name_of
        if name.endswith("_bn") and "vgg" in name and path[-2:] == (DictKey("convolution"), DictKey("bias")):
            continue  # The batch norm after it cancels it: its gradient is rounding.
        assert np.any(value != 0), name_of
    assert jax.tree.structure(moved) == jax.tree.structure(statistics)
    for old, new in zip(jax.tree.leaves(statistics), jax.tree.leaves(moved), strict=True):
        assert np.isfinite(new).all() and np.all(old != new)
    assert heads == (3 if "googlenet" in name else 1) and none == []
    assert np.isfinite(logits).all() and np.isfinite(inference).all()
    if statistics or models.architectures.options(name).get("dropout"):
        assert np.abs(logits - inference).max() > 0.01


@pytest.mark.parametrize(("name", "side"), [("alexnet", 16), ("vgg11", 16), ("googlenet", 20)])
def test_training_without_dropout_and_batch_norm_is_inference_and_dropout_is_drawn_from_its_key(name, side):
    network = models.create(name, 10, stem="small", image_size=side)
    rates = {"dropout": 0.0} | ({"auxiliary_dropout": 0.0} if name == "googlenet" else {})
    without = models.create(name, 10, stem="small", image_size=side, **rates)
    x, variables = images(2, side), random_variables(network)

    def outputs(variables: Any, key: Any, other: Any) -> Any:
        dropped = [network.apply(variables, x, train=True, rngs={"dropout": k})[0] for k in (key, key, other)]
        return *dropped, without.apply(variables, x, train=True)[0], network.apply(variables, x, train=False)[0]

    one, again, other, trained, inferred = run_once(outputs, variables, jax.random.key(1), jax.random.key(2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(trained, inferred, rtol=1e-5, atol=1e-5)
