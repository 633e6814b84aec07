"""What the training step of a network sums over the devices, counted from the step that `train` maps."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from convnets.analysis.network_costs import native_network, native_shape
from convnets.analysis.operations import all_reduces
from convnets.analysis.scaling import StepTraffic, Work
from convnets.analysis.summary import summarize, total
from convnets.analysis.trace import operations_of
from convnets.data.source import SourceInfo
from convnets.layers.implementation import use
from convnets.parallel import AXIS
from convnets.pretrained.freezing import divided
from convnets.training.config import complete, default_config
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_shapes, train_step

EXAMPLES = 50_000
"""Of an epoch, for the schedule; what is summed does not depend on it."""

DEVICES, IMAGES = 2, 2
"""Devices, and images of each; what is summed does not depend on these numbers."""


def named_work(name: str, scope: str = "synchronized") -> Work:
    """A network in training for classification, by its name in `create`, on images of its native size.

    Args:
      scope: of its batch norms, as `batch_norm.scope` says it.

    Raises:
      InvalidValue: an unknown network.
    """
    network: Any = native_network(name)
    shape = native_shape(network)
    config = default_config()
    config.network.name = name
    config.batch_norm.scope = scope
    config.validation.examples = 0
    config.normalization.mean = config.normalization.std = (0.5,) * shape[2]
    splits = {"train": EXAMPLES, "test": EXAMPLES}
    info = SourceInfo("images", tuple(map(str, range(network.num_classes))), shape, splits)
    summary = summarize(network, shape)
    multiply_adds = total(summary).multiply_adds + total(summary, training_only=True).multiply_adds
    return Work(name, multiply_adds, step_traffic(complete(config), info), norms_apart=scope == "device")


def step_traffic(config: ConfigDict, info: SourceInfo, implementation: str = "plain") -> StepTraffic:
    """What the first step of classification sums over the devices.

    Args:
      config: a whole config of the task classification.
      info: of the data.
      implementation: the kernels, as `implementation.use` takes them; accelerators compute by the plain ones.

    Raises:
      InvalidValue: what the network or the config can't be.
    """
    model = build_model(config, info)
    plan = make_plan(config, model, info.splits["train"])
    phase = plan.phase_at(0)
    state = initial_shapes(config, model, plan)
    numbers, weights = jax.ShapeDtypeStruct((IMAGES,), jnp.int32), jax.ShapeDtypeStruct((IMAGES,), jnp.float32)
    batch = {
        "image": jax.ShapeDtypeStruct((IMAGES, *info.shape_in_training), jnp.uint8),
        **dict.fromkeys(("label", "index", "epoch"), numbers),
        "weight": weights,
    }
    with use(implementation):
        trace = jax.make_jaxpr(train_step(config, model, plan, phase), axis_env=[(AXIS, DEVICES)])(state, batch)
    trained, _ = divided(state.params, phase.frozen)
    gradients = Counter(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(trained))
    found = Counter(all_reduces(operations_of(trace)[0], AXIS))
    assert gradients <= found, "every gradient is summed over the devices"
    others = list((found - gradients).elements())

    def sizes(arrays: Iterable[jax.ShapeDtypeStruct]) -> tuple[int, ...]:
        return tuple(array.size * array.dtype.itemsize for array in arrays)

    return StepTraffic(
        sum(sizes(gradients.elements())),
        statistics=sizes(one for one in others if one.shape),
        metrics=sizes(one for one in others if not one.shape),
    )
