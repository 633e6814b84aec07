"""Whole networks by the compiled kernels and by JAX alone: they part no further than rounding parts two runs.

How far that is depends on the network, and on chance where a response lies at the corner of a ReLU. So it is measured
in each: JAX's program is run again from parameters that are moved by a few units in the last place.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from training.stripes import config_of, striped

from convnets import kernels
from convnets.data.pipeline import TrainingBatches
from convnets.training.parallel import Devices
from convnets.training.setup import build_model, initial_state, make_plan, mapped_train_step

pytestmark = pytest.mark.usefixtures("onednn")

BATCH = 8
MOVED = 2.0**-20
"""Relative: what is added up in another order in every layer differs by more than a unit in the last place."""
FURTHER = 8
ROUNDING = 1e-5
QUICK = {"xla_backend_optimization_level": 0}
"""Compiles in a fraction of the time, to slower code."""

TRAINED = {
    # learning rate, steps: the larger networks take a second for each.
    "lenet5": (1e-2, 20),
    "resnet20": (1e-2, 20),
    "plain20": (1e-2, 20),
    "alexnet_owt": (1e-3, 2),
    "googlenet_bn": (1e-2, 2),
    "resnet50": (1e-2, 2),
}
EVALUATED = (*TRAINED, "lenet5_bn", "vgg11", "googlenet", "resnet18", "plain18")


class Run(NamedTuple):
    """The loss of each step and the gradient of the first."""

    losses: np.ndarray
    gradient: Any


class Network:
    """A network for small images, made by a choice of kernels."""

    def __init__(self, name: str, choice: str):
        rate, self.steps = TRAINED.get(name, (1e-2, 1))
        # SGD's momentum after a step is the gradient, if no weights decay.
        fields = {"train.batch_size": BATCH, "optimizer.weight_decay": 0.0, "optimizer.learning_rate": rate}
        config = config_of(fields, network=name)
        if "stem" in config.network:
            config.network.stem = "small"
        for dropout in {"dropout", "auxiliary_dropout"} & set(config.network):
            config.network[dropout] = 0.0
        self.choice, self.source = choice, striped(64)
        model = build_model(config, self.source.info)
        plan = make_plan(config, model.task, len(self.source))
        self.network, self.devices = model.network, Devices("pmap", jax.devices()[:1])
        self.step = mapped_train_step(config, model, plan, self.devices)
        self.initial = jax.device_get(initial_state(config, model, plan))
        self.batches = TrainingBatches(self.source, batch_size=BATCH, seed=0, steps=self.steps)

    def batch(self, number: int) -> Any:
        batch = {name: array[None] for name, array in self.batches[number].items()}
        return self.devices.split(batch, batch_axis=1)

    @cached_property
    def program(self) -> Callable[[Any, Any], Any]:
        """The training step."""
        with kernels.use(self.choice):
            return self.step.lower(self.devices.replicate(self.initial), self.batch(0)).compile(compiler_options=QUICK)

    def train(self, moved: int = 0) -> Run:
        """From the initial parameters, or from others nearby, drawn with the seed `moved`."""
        state, random = self.initial, np.random.default_rng(moved)
        if moved:
            nearby = jax.tree.map(lambda p: p * (1 + MOVED * random.uniform(-1, 1, p.shape)), state.params)
            state = state.replace(params=jax.tree.map(np.float32, nearby))
        state, losses, gradient = self.devices.replicate(state), [], None
        for number in range(self.steps):
            state, figures = self.program(state, self.batch(number))
            losses.append(float(figures["objective"][0]))
            gradient = jax.device_get(state.optimizer_state) if gradient is None else gradient
        return Run(np.array(losses), gradient)

    def logits(self, variables: Any) -> Any:
        """Of the first images, by running statistics."""
        images = self.source.batch(np.arange(BATCH))["image"].astype(np.float32) / 255
        with kernels.use(self.choice):
            return jax.jit(lambda v, x: self.network.apply(v, x, train=False)[0], compiler_options=QUICK)(
                variables, images
            )

    def variables(self) -> Any:
        """Parameters and running statistics, none of them what initialization makes them."""
        random = np.random.default_rng(0)

        def drawn(path: Any, leaf: Any) -> Any:
            spread = {"variance": (0.5, 2.0), "scale": (0.5, 1.5), "mean": (-0.3, 0.3), "bias": (-0.3, 0.3)}
            low_high = spread.get(path[-1].key)
            return leaf if low_high is None else random.uniform(*low_high, leaf.shape).astype(np.float32)

        return jax.tree_util.tree_map_with_path(drawn, self.initial.variables())


def apart(one: Any, other: Any) -> float:
    """The Euclidean distance of two trees of arrays, relative to the length of the first."""
    ones, others = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (one, other))
    return float(np.linalg.norm(ones - others) / np.linalg.norm(ones))


@pytest.mark.parametrize("name", TRAINED)
def test_training_is_that_of_jax(name):
    reference, compiled = Network(name, "xla"), Network(name, "onednn")
    expected, given = reference.train(), compiled.train()
    moved = [reference.train(seed) for seed in (1, 2)]

    assert abs(given.losses[0] / expected.losses[0] - 1) < ROUNDING
    rounding = max(apart(expected.gradient, one.gradient) for one in moved)
    assert apart(expected.gradient, given.gradient) < FURTHER * rounding + ROUNDING

    # Rounding grows from step to step.
    rounding = np.maximum.accumulate(np.max([np.abs(one.losses - expected.losses) for one in moved], 0))
    difference = np.abs(given.losses - expected.losses)
    print(name, expected.losses.round(2), difference, rounding)
    np.testing.assert_array_less(difference, FURTHER * rounding + ROUNDING * expected.losses)


@pytest.mark.parametrize("name", EVALUATED)
def test_logits_are_those_of_jax(name):
    reference, compiled = Network(name, "xla"), Network(name, "onednn")
    variables = reference.variables()
    expected, given = reference.logits(variables), compiled.logits(variables)
    assert np.abs(expected - expected[:1]).max() > 1e-3 * np.abs(expected).max(), "logits that don't see the image"
    assert apart(expected, given) < ROUNDING
