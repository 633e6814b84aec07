"""Learning rates of their own for parts of a network."""

from typing import Any

import jax
import numpy as np
import pytest
from stripes import config_of, run_steps, striped

from convnets.pretrained.patterns import flat
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state

LAYERS = ("conv1", "norm1", "conv2", "norm2", "fc3", "norm3", "fc4", "norm4", "logits")


def factors_after_a_step(fields: dict[str, Any], optimizer: str = "sgd") -> dict[str, float]:
    """By how much more than by the plain step each layer moved."""
    fields = fields | {"optimizer.weight_decay": 0.1, "optimizer.decay_bias_and_norm": True}
    config = config_of(fields, network="lenet5_bn", optimizer=optimizer)
    source = striped(256)
    model = build_model(config, source.info)
    before = jax.device_get(initial_state(config, model, make_plan(config, model, len(source))))
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


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_first_rate_that_matches_is_a_factor_of_the_whole_update_decay_included(optimizer):
    rates = (("logits", 4.0), ("conv*", 0.5), ("conv2", 9.0), ("fc4/kernel", 2))
    found = factors_after_a_step({"optimizer.rates": rates, "optimizer.learning_rate": 0.2}, optimizer)
    expected = dict.fromkeys(LAYERS, 1.0) | {"logits": 4.0, "conv1": 0.5, "conv2": 0.5, "fc4": 2.0}
    assert found == pytest.approx(expected, rel=1e-2)


def test_the_rate_decays_with_each_group_of_layers_below_the_logits_and_multiplies_the_rates():
    fields = {"optimizer.depth_decay": 0.5, "optimizer.rates": (("fc4", 8.0),), "optimizer.learning_rate": 0.2}
    heights = {"logits": 0, "fc4": 1, "norm4": 1, "fc3": 2, "norm3": 2, "conv2": 3, "norm2": 3, "conv1": 4, "norm1": 4}
    expected = {layer: 0.5**height for layer, height in heights.items()} | {"fc4": 4.0}
    assert factors_after_a_step(fields) == pytest.approx(expected, rel=1e-2)


def test_factors_of_one_and_nothing_frozen_change_no_bit():
    plain, _ = run_steps(config_of(network="lenet5_bn"), 3, jax.devices()[:1])
    ones, _ = run_steps(config_of({"optimizer.rates": (("*", 1.0),)}, network="lenet5_bn"), 3, jax.devices()[:1])
    jax.tree.map(np.testing.assert_array_equal, ones, plain)
