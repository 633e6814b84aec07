"""What a training step sums over the devices, counted from the step, against formulas and against XLA."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.cli.step_traffic import named_work, step_traffic
from convnets.data.source import SourceInfo
from convnets.layers import implementation
from convnets.parallel import AXIS
from convnets.training.config import complete, default_config
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_shapes, train_step

INFO = SourceInfo("images", tuple("abcdefghij"), (32, 32, 1), {"train": 320, "test": 32})

METRICS = (4,) * 6
"""The objective and the number of examples; of the task the loss, the weight, top-1 and top-5. All float32."""

CHANNELS = (6, 16, 120, 84)
"""Of LeNet-5's batch norms."""


def config_of(scope="synchronized", below="", parts=1):
    """LeNet-5 with batch norm."""
    config = default_config()
    config.network.name = "lenet5_bn"
    config.validation.examples = 0
    config.batch_norm.scope = scope
    config.freeze.below = below
    config.train.gradient_accumulation = parts
    return complete(config)


# Published parameters; channels of the batch norms.
@pytest.mark.parametrize(
    ("name", "parameters", "channels", "norms"),
    [
        ("lenet5", 61_706, 0, 0),
        # By hand: 16 + 6 (16 + 32 + 64).
        ("resnet20", 269_722, 16 + 6 * (16 + 32 + 64), 19),
    ],
)
def test_the_papers_networks_sum_their_gradients_and_four_vectors_of_each_batch_norm(name, parameters, channels, norms):
    work = named_work(name)
    assert work.traffic.gradients == 4 * parameters
    # Forward the mean and the variance, and backward their gradients.
    assert sum(work.traffic.statistics) == 4 * 4 * channels
    assert len(work.traffic.statistics) == 4 * norms
    assert work.traffic.metrics == METRICS


def test_all_reduces_of_the_compiled_step_are_those_that_were_counted():
    config = config_of()
    model = build_model(config, INFO)
    plan = make_plan(config, model, 320)
    step = train_step(config, model, plan, plan.phase_at(0))
    numbers = jax.ShapeDtypeStruct((2, 4), jnp.int32)
    batch = {"image": jax.ShapeDtypeStruct((2, 4, 32, 32, 1), jnp.uint8), "label": numbers, "index": numbers}
    batch |= {"epoch": numbers, "weight": jax.ShapeDtypeStruct((2, 4), jnp.float32)}
    with implementation.use("plain"):
        mapped = jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=None, devices=jax.devices()[:2])
        lowered = mapped.lower(initial_shapes(config, model, plan), batch)
        program = lowered.compile({"xla_backend_optimization_level": 0}).as_text()
    summed = 0
    for result in re.findall(r"= (\([^)]*\)|\S+) all-reduce(?:-start)?\(", program):
        for kind, sides in re.findall(r"(\w+)\[([\d,]*)\]", result):
            assert kind == "f32"
            summed += 4 * int(np.prod([int(side) for side in sides.split(",") if side]))
    # The number of examples and the task's sum of weights are the same float32, which XLA sums once.
    assert summed == step_traffic(config, INFO).bytes - 4


def test_norms_of_each_device_sum_for_their_running_statistics_alone():
    traffic = step_traffic(config_of("device"), INFO)
    assert sorted(traffic.statistics) == sorted(4 * channels for channels in CHANNELS for _ in range(2))
    assert traffic.gradients == step_traffic(config_of(), INFO).gradients


def test_what_is_frozen_is_not_summed():
    frozen, whole = (step_traffic(config_of(below=below), INFO) for below in ("logits", ""))
    # The logits alone: 84 x 10 weights and 10 biases.
    assert (frozen.gradients, frozen.statistics) == (4 * 850, ())
    assert whole.gradients > 50 * frozen.gradients


def test_accumulated_gradients_are_summed_once_and_statistics_in_every_part():
    once, twice = (step_traffic(config_of(parts=parts), INFO) for parts in (1, 2))
    assert twice.gradients == once.gradients
    assert sorted(twice.statistics) == sorted(2 * once.statistics)


@pytest.mark.usefixtures("onednn")
def test_the_kernels_of_cpus_sum_two_vectors_more_of_each_norm():
    # Backward the sums of the gradient and those of the mean's and the variance's own.
    assert len(step_traffic(config_of(), INFO, "onednn").statistics) == 6 * len(CHANNELS)
