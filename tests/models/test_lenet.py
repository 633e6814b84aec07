"""LeNet-5 against the lecture's slide, a count by hand and a network written in NumPy and SciPy."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest
from scipy.signal import correlate

from convnets import models

LECTURE = {
    "conv1": 5 * 5 * 1 * 6 + 6,
    "conv2": 5 * 5 * 6 * 16 + 16,
    "fc3": 5 * 5 * 16 * 120 + 120,
    "fc4": 120 * 84 + 84,
    "logits": 84 * 10 + 10,
}

NORMALIZED = {
    "conv1": 5 * 5 * 1 * 6,
    "norm1": 2 * 6,
    "conv2": 5 * 5 * 6 * 16,
    "norm2": 2 * 16,
    "fc3": 5 * 5 * 16 * 120,
    "norm3": 2 * 120,
    "fc4": 120 * 84,
    "norm4": 2 * 84,
    "logits": 84 * 10 + 10,
}

POOLS = {"average": np.mean, "max": np.max}


def images(count: int = 2, height: int = 32, width: int = 32, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, height, width, channels)).astype(np.float32)


def trained(network: nn.Module, x: np.ndarray) -> Any:
    """Variables none of which is what it began with, biases and statistics included."""
    random = np.random.default_rng(1)

    def value(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key == "kernel":
            return random.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(np.float32)
        low, high = (0.5, 1.5) if path[-1].key in ("scale", "variance") else (-0.5, 0.5)
        return random.uniform(low, high, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(value, jax.eval_shape(network.init, jax.random.key(0), x))


def by_hand(variables: Any, x: np.ndarray, pool: Any) -> dict[str, np.ndarray]:
    """CONV-POOL-TANH-CONV-POOL-TANH-FC-TANH-FC-TANH-FC in float64, with batch norm before each tanh if there is one."""
    variables = jax.tree.map(lambda a: np.asarray(a, np.float64), variables)
    params, statistics = variables["params"], variables.get("batch_stats", {})

    def convolution(x: np.ndarray, name: str) -> np.ndarray:
        kernel = params[name]["kernel"]
        filters = range(kernel.shape[-1])
        y = [[correlate(image, kernel[..., f], mode="valid")[:, :, 0] for f in filters] for image in x]
        return np.moveaxis(np.array(y), 1, -1) + params[name].get("bias", 0)

    def halve(x: np.ndarray) -> np.ndarray:
        count, height, width, channels = x.shape
        return pool(x.reshape(count, height // 2, 2, width // 2, 2, channels), axis=(2, 4))

    def tanh(x: np.ndarray, norm: str) -> np.ndarray:
        if norm in params:
            x = (x - statistics[norm]["mean"]) / np.sqrt(statistics[norm]["variance"] + 1e-5)
            x = x * params[norm]["scale"] + params[norm]["bias"]
        return np.tanh(x)

    maps = {}
    maps["stage1"] = tanh(halve(convolution(x, "conv1")), "norm1")
    maps["stage2"] = tanh(halve(convolution(maps["stage1"], "conv2")), "norm2")
    maps["stage3"] = tanh(convolution(maps["stage2"], "fc3"), "norm3")
    maps["pre_logits"] = tanh(convolution(maps["stage3"], "fc4"), "norm4")
    return maps | {"logits": convolution(maps["pre_logits"], "logits")}


def counts(tree: Any) -> dict[str, int]:
    return {name: sum(leaf.size for leaf in jax.tree.leaves(layer)) for name, layer in tree.items()}


def test_the_lectures_network_has_61706_parameters():
    variables = jax.eval_shape(models.create("lenet5", 10).init, jax.random.key(0), images())
    assert set(variables) == {"params"}
    assert counts(variables["params"]) == LECTURE
    assert sum(LECTURE.values()) == 61_706


def test_with_batch_norm_the_biases_before_it_give_way_to_scales_and_shifts():
    variables = jax.eval_shape(models.create("lenet5_bn", 10).init, jax.random.key(0), images())
    assert counts(variables["params"]) == NORMALIZED
    assert sum(NORMALIZED.values()) == 61_932
    assert counts(variables["batch_stats"]) == {"norm1": 2 * 6, "norm2": 2 * 16, "norm3": 2 * 120, "norm4": 2 * 84}


def test_colour_images_and_other_classes_change_the_first_and_the_last_layer_alone():
    network = models.create("lenet5", 100)
    variables = jax.eval_shape(network.init, jax.random.key(0), images(channels=3))
    assert counts(variables["params"]) == LECTURE | {"conv1": 5 * 5 * 3 * 6 + 6, "logits": 84 * 100 + 100}


@pytest.mark.parametrize("name", ["lenet5", "lenet5_bn"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_every_map_is_the_lectures_in_its_order(name, pooling):
    network, x = models.create(name, 10, pooling=pooling), images()
    variables = trained(network, x)
    logits, maps = network.apply(variables, x, train=False)
    assert {name: value.shape for name, value in maps.items()} == {
        "stage1": (2, 14, 14, 6),
        "stage2": (2, 5, 5, 16),
        "stage3": (2, 1, 1, 120),
        "pre_logits": (2, 1, 1, 84),
    }
    assert logits.shape == (2, 10)
    expected = by_hand(variables, x, POOLS[pooling])
    np.testing.assert_allclose(logits, expected.pop("logits")[:, 0, 0], atol=1e-4)
    assert list(maps) == list(expected)
    for name, value in maps.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", ["lenet5", "lenet5_bn"])
def test_a_larger_image_has_a_map_of_what_would_be_said_of_each_crop(name):
    """Two pools halve the picture twice, so neighbours on the map are four pixels apart."""
    network, x = models.create(name, 10), images(1, 40, 36)
    variables = trained(network, x)
    logits, maps = network.apply(variables, x)
    assert logits.shape == (1, 3, 2, 10)
    assert maps["pre_logits"].shape == (1, 3, 2, 84)
    crops = np.concatenate([x[:, top : top + 32, left : left + 32] for top in (0, 4, 8) for left in (0, 4)])
    alone, _ = network.apply(variables, crops)
    assert alone.shape == (6, 10)
    np.testing.assert_allclose(logits.reshape(6, 10), alone, atol=1e-5)


@pytest.mark.parametrize(("name", "pooling"), [("lenet5", "average"), ("lenet5_bn", "max")])
def test_every_parameter_is_learned_and_every_running_statistic_moves(name, pooling):
    network, x = models.create(name, 10, pooling=pooling), images(4)
    variables = trained(network, x)

    def loss(params):
        (logits, _), changed = network.apply(variables | {"params": params}, x, train=True, mutable=["batch_stats"])
        return -jax.nn.log_softmax(logits)[:, 3].sum(), changed.get("batch_stats", {})

    gradients, statistics = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.asarray(gradient) != 0), jax.tree_util.keystr(path)
    moved = jax.tree.map(lambda old, new: bool(np.all(old != new)), variables.get("batch_stats", {}), statistics)
    assert jax.tree.leaves(moved) == [True] * (8 if name == "lenet5_bn" else 0)


def test_weights_start_with_variance_1_over_fan_in_as_a_tanh_follows():
    network = models.create("lenet5", 100)
    params = jax.jit(network.init)(jax.random.key(0, impl="rbg"), images())["params"]
    for name, fan_in in {"conv2": 5 * 5 * 6, "fc3": 5 * 5 * 16, "fc4": 120, "logits": 84}.items():
        assert np.var(params[name]["kernel"]) == pytest.approx(1 / fan_in, rel=0.15), name
        np.testing.assert_array_equal(params[name]["bias"], 0)
