"""What freezing saves, against counts by hand."""

from typing import Any

import pytest
from stripes import config_of, striped

from convnets.training.plan import make_plan
from convnets.training.savings import Demand, Savings, savings
from convnets.training.setup import build_model

SOURCE = striped(64)
# Forward, multiplications and additions of an image: 28^2 x 25 x 6, 10^2 x 150 x 16, 400 x 120, 120 x 84, 84 x 10.
CONV1, CONV2, FC3, FC4, LOGITS = (2 * count for count in (117_600, 240_000, 48_000, 10_080, 840))


def found(fields: dict[str, Any], **choices: str) -> Savings:
    config = config_of(fields, **({"network": "lenet5"} | choices))
    model = build_model(config, SOURCE.info)
    plan = make_plan(config, model, len(SOURCE))
    [phase] = plan.phases
    return savings(config, model, plan, phase, SOURCE, ())


def test_layers_parameters_and_memory_are_counted():
    of = found({"freeze.below": "stage3", "train.average_decay": 0.9}, optimizer="adamw")
    # Of 61,706: conv1 has 156 and conv2 2,416.
    assert (of.whole.layers, of.whole.parameters) == (5, 61_706)
    assert (of.phase.layers, of.phase.parameters) == (3, 61_706 - 156 - 2_416)
    # A gradient, two moments and a count.
    assert of.whole.memory == 3 * 4 * 61_706 + 4
    assert of.phase.memory == 3 * 4 * (61_706 - 156 - 2_416) + 4


def test_operations_are_those_forward_and_the_gradients_that_are_wanted():
    of = found({"freeze.below": "stage3", "train.batch_size": 64})
    forward = CONV1 + CONV2 + FC3 + FC4 + LOGITS
    whole = 3 * forward - CONV1
    phase = forward + 2 * (FC3 + FC4 + LOGITS) - FC3
    # Pools, activations and the update come on top.
    assert 64 * whole < of.whole.operations < 64 * whole * 1.1
    assert of.phase.operations / of.whole.operations == pytest.approx(phase / whole, abs=0.02)


def test_the_figures_are_said_in_one_line():
    text = str(Savings(Demand(1, 65_000, 3.3e9, 520_000), Demand(39, 269_000, 1e10, 2_160_000)))
    assert text == (
        "1 of 39 layers are trained, 0.065 of 0.269 million parameters, with 33% of the operations of training all; "
        "gradient and optimizer state take 0.52 MB instead of 2.16 MB"
    )
