"""What a single step does to the state, on one device."""

import jax
import numpy as np
import optax
from stripes import config_of, largest_difference, run_steps, striped

from convnets.data.pipeline import TrainingBatches
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state

ONE = slice(0, 1)


def first_state(config):
    source = striped(256)
    model = build_model(config, source.info)
    return model, jax.device_get(initial_state(config, model, make_plan(config, model, len(source))))


def test_a_step_of_plain_sgd_is_the_hand_written_one():
    config = config_of({"optimizer.momentum": 0.0, "optimizer.weight_decay": 0.0, "train.batch_size": 8})
    state, figures = run_steps(config, 1, jax.devices()[ONE])
    model, before = first_state(config)
    batch = TrainingBatches(striped(256), batch_size=8, seed=0, steps=1)[0]

    def loss(params):
        images = (batch["image"] / 255.0 - 0.25) / 0.2
        logits, _ = model.network.apply({"params": params}, images.astype(np.float32), train=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(before.params)
    np.testing.assert_allclose(figures["objective"][0], value, rtol=1e-5)
    expected = jax.tree.map(lambda p, g: p - 0.05 * g, before.params, gradient)
    assert largest_difference(state.params, expected) < 1e-5


def test_the_averaged_parameters_follow_the_exponential_moving_average():
    config = config_of({"train.average_decay": 0.75})
    _, before = first_state(config)
    states = [before] + [run_steps(config, steps, jax.devices()[ONE])[0] for steps in (1, 2, 3)]
    average = before.params
    for state in states[1:]:
        average = jax.tree.map(lambda a, p: 0.75 * a + 0.25 * p, average, state.params)
    assert largest_difference(states[-1].average, average) < 1e-5
    evaluated = states[-1].variables()["params"]
    assert jax.tree.all(jax.tree.map(lambda one, other: one is other, evaluated, states[-1].average))


def test_without_an_average_evaluation_uses_the_parameters_themselves():
    _, state = first_state(config_of())
    assert state.average is None
    assert state.variables()["params"] is state.params


def test_bfloat16_computes_near_float32_and_keeps_float32_parameters_and_statistics():
    _, expected = run_steps(config_of(network="lenet5_bn"), 20, jax.devices()[ONE])
    mixed, figures = run_steps(config_of({"network.dtype": "bfloat16"}, network="lenet5_bn"), 20, jax.devices()[ONE])
    assert {leaf.dtype for leaf in jax.tree.leaves((mixed.params, mixed.batch_stats))} == {np.dtype(np.float32)}
    assert figures["objective"][-1] < 0.7 * figures["objective"][0]
    difference = np.abs(figures["objective"] - expected["objective"])
    assert 0 < difference.max() < 0.1


def test_the_learning_rate_of_each_step_is_the_schedules():
    config = config_of({"schedule.warmup": "4 steps", "train.duration": "12 steps"}, schedule="cosine")
    _, figures = run_steps(config, 12, jax.devices()[ONE])
    warm = 0.05 * np.arange(1, 5) / 4
    cool = 0.05 * (1 + np.cos(np.pi * np.arange(8) / 8)) / 2
    np.testing.assert_allclose(figures["learning_rate"], np.concatenate([warm, cool]), rtol=1e-5)


def test_the_plateaus_scale_multiplies_the_learning_rate():
    config = config_of({"validation.examples": 10}, schedule="plateau")
    source = striped(256)
    model = build_model(config, source.info)
    plan = make_plan(config, model, len(source))
    state = initial_state(config, model, plan)
    scales = []
    for error in (0.5, 0.4, 0.41, 0.42, 0.43, 0.44, 0.45, 0.46, 0.3, 0.31):
        _, plateau = plan.plateau.update({}, state.plateau, value=error)
        state = state.replace(plateau=plateau)
        scales.append(float(plateau.scale))
    # Five evaluations in a row without a gain over 0.4: divided by ten at the fifth.
    np.testing.assert_allclose(scales, [1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1], rtol=1e-6)


def test_a_run_is_a_function_of_its_seed():
    fields = {"seed": 1, "augmentation": (("flip", {}),)}
    (one, first), (two, second) = (run_steps(config_of(fields), 5, jax.devices()[ONE]) for _ in range(2))
    np.testing.assert_array_equal(first["objective"], second["objective"])
    assert largest_difference(one.params, two.params) == 0
    other, _ = run_steps(config_of(fields | {"seed": 8}), 5, jax.devices()[ONE])
    assert largest_difference(one.params, other.params) > 0.01
