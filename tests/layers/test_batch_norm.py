"""Batch norm: the lecture's two options against float64 NumPy, on one device and over several."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import ScopeParamShapeError

from convnets.layers import BatchNorm

AXES = {"filter": (0, 1, 2), "location": (0,)}
SHAPE = (4, 3, 2, 5)
DEVICES = 3

both_options = pytest.mark.parametrize("per", ["filter", "location"])


def numpy_norm(x: np.ndarray, axes: tuple[int, ...], scale: Any, bias: Any, epsilon: float) -> np.ndarray:
    """Algorithm 1 of Ioffe and Szegedy, in float64."""
    x = x.astype(np.float64)
    mean = x.mean(axes)
    variance = ((x - mean) ** 2).mean(axes)
    return scale * (x - mean) / np.sqrt(variance + epsilon) + bias


def finite_difference(function: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    gradient = np.zeros(at.shape)
    for place in np.ndindex(at.shape):
        there = at.astype(np.float64)
        there[place] += step
        above = function(there)
        there[place] -= 2 * step
        gradient[place] = (above - function(there)) / (2 * step)
    return gradient


def inputs(per: str, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, dict[str, Any]]:
    """Responses whose filters and positions differ in mean and spread, and variables that are not the initial ones."""
    random = np.random.default_rng(0)
    kept = shape[3:] if per == "filter" else shape[1:]
    x = random.normal(size=shape) * random.uniform(0.5, 3, shape[1:]) + random.normal(0, 2, shape[1:])
    variables = {
        "params": {"scale": random.uniform(0.5, 2, kept), "bias": random.normal(size=kept)},
        "batch_stats": {"mean": random.normal(size=kept), "variance": random.uniform(0.5, 2, kept)},
    }
    return x.astype(np.float32), jax.tree.map(lambda a: a.astype(np.float32), variables)


@both_options
def test_training_normalizes_by_the_batch_and_moves_the_running_statistics(per):
    x, variables = inputs(per)
    norm = BatchNorm(momentum=0.7, epsilon=0.25, per=per)
    y, changed = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    expected = numpy_norm(x, AXES[per], variables["params"]["scale"], variables["params"]["bias"], 0.25)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)

    old, new, x = variables["batch_stats"], changed["batch_stats"], x.astype(np.float64)
    np.testing.assert_allclose(new["mean"], 0.7 * old["mean"] + 0.3 * x.mean(AXES[per]), rtol=1e-5, atol=1e-6)
    biased = x.var(AXES[per], ddof=0)
    np.testing.assert_allclose(new["variance"], 0.7 * old["variance"] + 0.3 * biased, rtol=1e-5)


@both_options
def test_evaluation_normalizes_by_the_running_statistics_and_leaves_them(per):
    x, variables = inputs(per)
    y, after = BatchNorm(epsilon=0.25, per=per).apply(variables, x, train=False, mutable=["batch_stats"])
    statistics, parameters = variables["batch_stats"], variables["params"]
    normalized = (x.astype(np.float64) - statistics["mean"]) / np.sqrt(statistics["variance"] + 0.25)
    np.testing.assert_allclose(y, parameters["scale"] * normalized + parameters["bias"], rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, after["batch_stats"], statistics)


def test_an_image_is_evaluated_alike_whatever_batch_it_is_in():
    x, variables = inputs("filter")
    norm = BatchNorm()
    np.testing.assert_allclose(
        norm.apply(variables, x, train=False)[1:2], norm.apply(variables, x[1:2], train=False), rtol=1e-6
    )


@both_options
@pytest.mark.parametrize("train", [True, False])
def test_initialization_is_the_identity_and_sees_no_batch(per, train):
    x, _ = inputs(per)
    variables = BatchNorm(per=per, axis_name="devices").init(jax.random.key(0), x, train=train)
    kept = SHAPE[3:] if per == "filter" else SHAPE[1:]
    np.testing.assert_array_equal(variables["params"]["scale"], np.ones(kept))
    np.testing.assert_array_equal(variables["params"]["bias"], np.zeros(kept))
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(kept))
    np.testing.assert_array_equal(variables["batch_stats"]["variance"], np.ones(kept))


def test_by_default_a_step_keeps_nine_tenths_of_the_running_statistics():
    """PyTorch's momentum 0.1, its epsilon 1e-5: a constant map of 3s has mean 3 and variance 0."""
    norm = BatchNorm()
    x = jnp.full((2, 2, 2, 1), 3.0)
    variables = norm.init(jax.random.key(0), x, train=True)
    _, changed = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(changed["batch_stats"]["mean"], [0.3], rtol=1e-6)
    np.testing.assert_allclose(changed["batch_stats"]["variance"], [0.9], rtol=1e-6)
    still = {"params": variables["params"], "batch_stats": {"mean": jnp.zeros(1), "variance": jnp.zeros(1)}}
    np.testing.assert_allclose(norm.apply(still, x, train=False), np.full(x.shape, 3 / np.sqrt(1e-5)), rtol=1e-5)


def test_a_mean_of_1000_costs_a_deviation_of_a_tenth_no_precision():
    """In float32 a mean of squares less a squared mean is off by some 0.06, six times this variance."""
    x = np.random.default_rng(0).normal(1000, 0.1, (32, 8, 8, 2)).astype(np.float32)
    norm = BatchNorm(momentum=0.0, epsilon=1e-5)
    variables = norm.init(jax.random.key(0), x, train=True)
    y, changed = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y, numpy_norm(x, (0, 1, 2), 1.0, 0.0, 1e-5), atol=5e-3)
    np.testing.assert_allclose(changed["batch_stats"]["variance"], x.astype(np.float64).var((0, 1, 2)), rtol=1e-3)
    evaluated = norm.apply(variables | changed, x, train=False)
    np.testing.assert_allclose(evaluated, numpy_norm(x, (0, 1, 2), 1.0, 0.0, 1e-5), atol=5e-3)


@both_options
def test_gradients_go_through_the_batch_statistics(per):
    x, variables = inputs(per, (3, 2, 2, 2))
    toward = np.random.default_rng(1).normal(size=x.shape)
    norm = BatchNorm(epsilon=0.1, per=per)

    def loss(params, x):
        y, _ = norm.apply(variables | {"params": params}, x, train=True, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(y) * toward)

    def reference(x, scale, bias):
        return float(np.sum(np.sin(numpy_norm(x, AXES[per], scale, bias, 0.1)) * toward))

    to_params, to_x = jax.jit(jax.grad(loss, argnums=(0, 1)))(variables["params"], x)
    scale, bias = variables["params"]["scale"], variables["params"]["bias"]
    close = {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(to_x, finite_difference(lambda x: reference(x, scale, bias), x), **close)
    np.testing.assert_allclose(to_params["scale"], finite_difference(lambda s: reference(x, s, bias), scale), **close)
    np.testing.assert_allclose(to_params["bias"], finite_difference(lambda b: reference(x, scale, b), bias), **close)


@pytest.mark.parametrize("train", [True, False])
def test_bfloat16_is_the_type_of_the_result_alone(train):
    x, variables = inputs("filter")
    x = jnp.asarray(100 + x, jnp.bfloat16)
    norm = BatchNorm(momentum=0.0, dtype=jnp.bfloat16)
    initial = jax.eval_shape(lambda key: norm.init(key, x, train=train), jax.random.key(0))
    assert {a.dtype for a in jax.tree.leaves(initial)} == {jnp.dtype("float32")}
    y, changed = norm.apply(variables, x, train=train, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    statistics = changed["batch_stats"]
    assert {a.dtype for a in jax.tree.leaves(statistics)} == {jnp.dtype("float32")}
    if train:
        exact = np.asarray(x, np.float64)
        np.testing.assert_allclose(statistics["mean"], exact.mean((0, 1, 2)), rtol=1e-6)
        np.testing.assert_allclose(statistics["variance"], exact.var((0, 1, 2)), rtol=1e-4)


def on_devices(per: str) -> tuple[np.ndarray, dict[str, Any]]:
    """A part of a batch for each device, and parts that differ in their means."""
    x, variables = inputs(per, (DEVICES * 4, *SHAPE[1:]))
    x = x.reshape(DEVICES, 4, *SHAPE[1:])
    return x + np.array([0, 3, -5], np.float32)[:, None, None, None, None], variables


def train_on_devices(norm: BatchNorm, variables: Any, x: Any) -> Any:
    def one(x):
        return norm.apply(variables, x, train=True, mutable=["batch_stats"])

    return jax.jit(jax.vmap(one, axis_name="devices"))(x)


@both_options
def test_synchronized_devices_normalize_as_one_big_batch(per):
    x, variables = on_devices(per)
    norm = BatchNorm(epsilon=0.1, per=per, axis_name="devices", synchronized=True)
    y, _ = train_on_devices(norm, variables, x)
    whole = x.reshape(-1, *SHAPE[1:])
    expected = numpy_norm(whole, AXES[per], variables["params"]["scale"], variables["params"]["bias"], 0.1)
    np.testing.assert_allclose(y.reshape(whole.shape), expected, rtol=1e-4, atol=1e-5)


@both_options
def test_devices_by_themselves_normalize_by_their_own_part(per):
    x, variables = on_devices(per)
    norm = BatchNorm(epsilon=0.1, per=per, axis_name="devices", synchronized=False)
    y, _ = train_on_devices(norm, variables, x)
    for part, normalized in zip(x, y, strict=True):
        expected = numpy_norm(part, AXES[per], variables["params"]["scale"], variables["params"]["bias"], 0.1)
        np.testing.assert_allclose(normalized, expected, rtol=1e-4, atol=1e-5)


@both_options
@pytest.mark.parametrize("synchronized", [True, False])
def test_running_statistics_are_those_of_the_whole_batch_on_every_device(per, synchronized):
    x, variables = on_devices(per)
    norm = BatchNorm(momentum=0.6, per=per, axis_name="devices", synchronized=synchronized)
    _, changed = train_on_devices(norm, variables, x)
    old, new = variables["batch_stats"], changed["batch_stats"]
    whole = x.reshape(-1, *SHAPE[1:]).astype(np.float64)
    spread = whole.var(AXES[per]) - np.mean([part.var(AXES[per]) for part in x.astype(np.float64)], 0)
    assert spread.min() > 1, "the parts must differ for the spread of their means to be seen"
    for device in range(DEVICES):
        mean, variance = new["mean"][device], new["variance"][device]
        np.testing.assert_allclose(mean, 0.6 * old["mean"] + 0.4 * whole.mean(AXES[per]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance, 0.6 * old["variance"] + 0.4 * whole.var(AXES[per]), rtol=1e-4)
    for statistic in jax.tree.leaves(new):
        np.testing.assert_array_equal(statistic, np.broadcast_to(statistic[:1], statistic.shape))


@pytest.mark.parametrize("synchronized", [True, False])
def test_gradients_over_devices_are_those_of_the_batch_they_normalize_by(synchronized):
    """The devices' losses added up, against a finite difference through one batch, or through one for each device."""
    x, variables = on_devices("filter")
    x = x[:, :2, :2]
    toward = np.random.default_rng(1).normal(size=x.shape)
    norm = BatchNorm(epsilon=0.1, axis_name="devices", synchronized=synchronized)

    def loss(params, x, toward):
        y, _ = norm.apply(variables | {"params": params}, x, train=True, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(y) * toward)

    def gradients(params, x, toward):
        to_params, to_x = jax.grad(loss, argnums=(0, 1))(params, x, toward)
        return jax.lax.psum(to_params, "devices"), to_x

    def reference(x, scale, bias):
        batches = x.reshape(1, -1, *x.shape[2:]) if synchronized else x
        y = np.stack([numpy_norm(batch, (0, 1, 2), scale, bias, 0.1) for batch in batches])
        return float(np.sum(np.sin(y.reshape(x.shape)) * toward))

    mapped = jax.vmap(gradients, in_axes=(None, 0, 0), axis_name="devices")
    to_params, to_x = jax.jit(mapped)(variables["params"], x, toward)
    scale, bias = variables["params"]["scale"], variables["params"]["bias"]
    close = {"rtol": 1e-3, "atol": 2e-4}
    np.testing.assert_allclose(to_x, finite_difference(lambda x: reference(x, scale, bias), x), **close)
    expected = finite_difference(lambda scale: reference(x, scale, bias), scale)
    np.testing.assert_allclose(to_params["scale"][0], expected, **close)
    expected = finite_difference(lambda bias: reference(x, scale, bias), bias)
    np.testing.assert_allclose(to_params["bias"][0], expected, **close)


def test_one_normalization_per_filter_serves_any_image_size_and_one_per_location_does_not():
    larger = np.zeros((1, 9, 9, 5), np.float32)
    _, variables = inputs("filter")
    assert BatchNorm().apply(variables, larger, train=False).shape == larger.shape
    _, variables = inputs("location")
    with pytest.raises(ScopeParamShapeError):
        BatchNorm(per="location").apply(variables, larger, train=False)
