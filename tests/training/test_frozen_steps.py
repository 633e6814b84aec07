"""Steps that train some of a network only: what stays, what moves, and by how much."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from stripes import config_of, largest_difference, run_steps, striped

from convnets.data.pipeline import TrainingBatches
from convnets.layers import implementation
from convnets.parallel import AXIS
from convnets.pretrained.patterns import flat
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state, train_step

BELOW = {"freeze.below": "stage3"}
LAYERS_BELOW = {"conv1", "norm1", "conv2", "norm2"}
LAYERS = LAYERS_BELOW | {"fc3", "norm3", "fc4", "norm4", "logits"}
LAST_STAGE = {"stage3_block1", "stage3_block2", "stage3_block3"}
RATE = 0.05


def prepared(config: Any) -> tuple[Any, Any, Any]:
    """Model, plan and first state."""
    source = striped(256)
    model = build_model(config, source.info)
    plan = make_plan(config, model, len(source))
    return model, plan, jax.device_get(initial_state(config, model, plan))


def layers_that_differ(one: Any, other: Any) -> set[str]:
    """The layers of two trees that are not the same to the last bit."""
    other = flat(other)
    return {path[0] for path, array in flat(one).items() if np.any(array != other[path])}


def layers_in(tree: Any) -> set[str]:
    """The names of layers that occur in a tree of any kind."""
    keys = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    return {key.key for path in keys for key in path if getattr(key, "key", None) in LAYERS}


def lenet_by_hand(params: Any, statistics: Any, images: Any, evaluated: set[str]) -> Any:
    """The logits of LeNet-5 with batch norm, the named norms by their running statistics."""

    def norm(x: Any, name: str) -> Any:
        axes = tuple(range(x.ndim - 1))
        mean, variance = jnp.mean(x, axes), jnp.var(x, axes)
        if name in evaluated:
            mean, variance = statistics[name]["mean"], statistics[name]["variance"]
        return jnp.tanh((x - mean) / jnp.sqrt(variance + 1e-5) * params[name]["scale"] + params[name]["bias"])

    def convolution(x: Any, name: str) -> Any:
        x = lax.conv_general_dilated(
            x, params[name]["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        n, h, w, c = x.shape
        return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))

    x = norm(convolution(images, "conv1"), "norm1")
    x = norm(convolution(x, "conv2"), "norm2").reshape(len(images), -1)
    x = norm(x @ params["fc3"]["kernel"].reshape(-1, 120), "norm3")
    x = norm(x @ params["fc4"]["kernel"][0, 0], "norm4")
    return x @ params["logits"]["kernel"][0, 0] + params["logits"]["bias"]


@pytest.mark.parametrize(
    ("freeze", "frozen"),
    [
        # Trained layers below frozen ones: the gradient passes through.
        ({"freeze.layers": ("norm?", "fc3")}, {"norm1", "norm2", "norm3", "norm4", "fc3"}),
        ({"freeze.below": "stage2", "freeze.layers": ("fc4",)}, {"conv1", "norm1", "fc4"}),
    ],
)
def test_a_step_is_that_of_the_whole_gradient_masked_by_hand(freeze, frozen):
    config = config_of(freeze | {"optimizer.momentum": 0.0, "optimizer.weight_decay": 0.02}, network="lenet5_bn")
    state, figures = run_steps(config, 1, jax.devices()[:1])
    _, _, before = prepared(config)
    batch = TrainingBatches(striped(256), batch_size=32, seed=0, steps=1)[0]
    images = ((batch["image"] / 255.0 - 0.25) / 0.2).astype(np.float32)

    def loss(params: Any) -> Any:
        logits = lenet_by_hand(params, before.batch_stats, images, frozen)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(before.params)
    np.testing.assert_allclose(figures["objective"][0], value, rtol=1e-5)
    for (layer, name), p in flat(before.params).items():
        decay = 0.02 * p if name == "kernel" else 0
        expected = p if layer in frozen else p - RATE * (gradient[layer][name] + decay)
        np.testing.assert_allclose(state.params[layer][name], expected, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(
    ("devices", "per_call", "optimizer", "fields"),
    [
        (1, 2, "sgd", {"train.gradient_accumulation": 2, "optimizer.gradient_clip": 0.1}),
        (2, 1, "adamw", {"train.wrapper": "shard_map", "batch_norm.scope": "device"}),
    ],
)
def test_frozen_parameters_and_statistics_stay_to_the_last_bit_and_all_others_move(
    devices, per_call, optimizer, fields
):
    always = BELOW | {"optimizer.weight_decay": 0.1, "optimizer.decay_bias_and_norm": True, "train.average_decay": 0.5}
    config = config_of(always | fields, network="lenet5_bn", optimizer=optimizer)
    _, _, before = prepared(config)
    after, _ = run_steps(config, 4, jax.devices()[:devices], per_call)
    assert layers_that_differ(after.params, before.params) == LAYERS - LAYERS_BELOW
    assert layers_that_differ(after.batch_stats, before.batch_stats) == {"norm3", "norm4"}
    used = after.variables()["params"]
    assert flat(used).keys() == flat(after.params).keys()
    for path, array in flat(used).items():
        assert np.array_equal(array, flat(after.params)[path]) == (path[0] in LAYERS_BELOW)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_is_frozen_has_no_optimizer_state_and_no_average(optimizer):
    fields = {"train.average_decay": 0.9, "optimizer.weight_decay": 0.1}
    _, _, whole = prepared(config_of(fields, network="lenet5_bn", optimizer=optimizer))
    _, _, frozen = prepared(config_of(fields | BELOW, network="lenet5_bn", optimizer=optimizer))
    for part in ("optimizer_state", "average"):
        assert layers_in(getattr(whole, part)) == LAYERS
        assert layers_in(getattr(frozen, part)) == LAYERS - LAYERS_BELOW
    assert layers_in(frozen.params) == LAYERS
    assert largest_difference(frozen.params, whole.params) == 0


def alone(batch: Any) -> Any:
    """A batch for one device."""
    return jax.tree.map(lambda x: x[None], batch)


def resnet(fields: dict[str, Any]) -> Any:
    """The config of a small residual network."""
    small = {"network.width": 1 / 16, "network.image_size": 32, "train.batch_size": 8}
    return config_of(small | fields, network="resnet20")


def convolutions_of(config: Any) -> int:
    """In the step as it is handed to the compiler."""
    model, plan, state = prepared(config)
    batch = TrainingBatches(striped(256), batch_size=8, seed=0, steps=1)[0]
    one = train_step(config, model, plan, plan.phase_at(0))
    with implementation.use("plain"):
        lowered = jax.jit(jax.vmap(one, in_axes=(None, 0), axis_name=AXIS)).lower(state, alone(batch))
    return lowered.as_text().count("stablehlo.convolution")


def test_with_everything_below_the_head_frozen_there_are_no_convolutions_but_those_forward():
    # ResNet-20 has 19, its shortcuts none.
    assert convolutions_of(resnet({"freeze.below": "pre_logits"})) == 19
    # Of all there is a gradient to the kernel, and to the input but for the image.
    assert convolutions_of(resnet({})) == 19 + 19 + 18
    # Of the six in stage 3, and to their inputs but for the first.
    assert convolutions_of(resnet({"freeze.below": "stage3"})) == 19 + 6 + 5


@pytest.mark.parametrize("fields", [{}, {"train.wrapper": "shard_map", "train.gradient_accumulation": 4}])
def test_devices_and_parts_change_nothing(fields):
    # With all norms still, parts of a batch do not differ from the whole.
    freeze = BELOW | {"freeze.layers": ("norm*",)}
    whole, expected = run_steps(config_of(freeze, network="lenet5_bn"), 4, jax.devices()[:1])
    state, figures = run_steps(config_of(freeze | fields, network="lenet5_bn"), 4, jax.devices()[:2], per_call=2)
    np.testing.assert_allclose(figures["objective"], expected["objective"], rtol=1e-5)
    assert largest_difference(state.params, whole.params) < 1e-4


def test_rematerialized_blocks_are_frozen_like_others():
    config = resnet({"freeze.below": "stage3"})
    one, expected = run_steps(config, 2, jax.devices()[:1])
    again, figures = run_steps(resnet({"freeze.below": "stage3", "network.remat": True}), 2, jax.devices()[:1])
    np.testing.assert_allclose(figures["objective"], expected["objective"], rtol=1e-4)
    _, _, before = prepared(config)
    for state in (one, again):
        assert layers_that_differ(state.batch_stats, before.batch_stats) == LAST_STAGE
        assert layers_that_differ(state.params, before.params) == LAST_STAGE | {"logits"}


def test_images_that_grow_leave_what_is_frozen_alone():
    config = resnet({"freeze.below": "stage3"})
    model, plan, before = prepared(config)
    plan = dataclasses.replace(plan, resolutions=((0, 16), (1, 32)))
    one = train_step(config, model, plan, plan.phase_at(0))
    batch = TrainingBatches(striped(256), batch_size=8, seed=0, steps=1)[0]
    smaller = batch | {"image": batch["image"][:, 8:24, 8:24]}
    states, _ = jax.jit(jax.vmap(one, in_axes=(None, 0), axis_name=AXIS))(before, alone(smaller))
    after = jax.tree.map(lambda x: x[0], states)
    assert layers_that_differ(after.batch_stats, before.batch_stats) == LAST_STAGE
    assert layers_that_differ(after.params, before.params) == LAST_STAGE | {"logits"}


def test_the_state_before_the_first_step_takes_other_variables_without_sharing_memory():
    _, _, state = prepared(config_of(BELOW | {"train.average_decay": 0.9}, network="lenet5_bn"))
    params, statistics = (jax.tree.map(lambda x: x + 5, part) for part in (state.params, state.batch_stats))
    begun = state.with_variables(params, statistics)
    assert jax.tree.structure(begun) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, begun.variables(), {"params": params, "batch_stats": statistics})
    for path, array in flat(begun.average).items():
        assert not np.shares_memory(array, flat(begun.params)[path])


def factors_after_a_step(fields: dict[str, Any], optimizer: str) -> dict[str, float]:
    """By how much more than by the plain step each layer moved."""
    fields = fields | {"optimizer.weight_decay": 0.1, "optimizer.decay_bias_and_norm": True}
    config = config_of(fields, network="lenet5_bn", optimizer=optimizer)
    _, _, before = prepared(config)
    plain = {"optimizer.rates": (), "optimizer.depth_decay": 1.0}
    ones, _ = run_steps(config_of(fields | plain, network="lenet5_bn", optimizer=optimizer), 1, jax.devices()[:1])
    scaled, _ = run_steps(config, 1, jax.devices()[:1])
    found = {}
    for path, start in flat(before.params).items():
        direction = (start - flat(ones.params)[path]).astype(np.float64)
        moved = (start - flat(scaled.params)[path]).astype(np.float64)
        factor = np.sum(moved * direction) / np.sum(direction**2)
        np.testing.assert_allclose(moved, factor * direction, atol=1e-3 * np.abs(direction).max())
        assert factor == pytest.approx(found.setdefault(path[0], factor), rel=1e-2)
    return found


def test_a_rate_is_a_factor_of_the_whole_update_decay_included():
    rates = (("logits", 4.0), ("conv*", 0.5), ("fc4/kernel", 2))
    found = factors_after_a_step({"optimizer.rates": rates, "optimizer.learning_rate": 0.2}, "adamw")
    expected = dict.fromkeys(LAYERS, 1.0) | {"logits": 4.0, "conv1": 0.5, "conv2": 0.5, "fc4": 2.0}
    assert found == pytest.approx(expected, rel=1e-2)
