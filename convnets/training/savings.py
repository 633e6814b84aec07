"""What freezing saves: of the layers, the operations of a step, and the memory of gradients and optimizer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from convnets.augment import Transform
from convnets.data.pipeline import TrainingBatches
from convnets.data.source import Source
from convnets.layers import implementation
from convnets.parallel import AXIS
from convnets.pretrained.freezing import divided
from convnets.tasks.model import Model
from convnets.training.plan import Phase, Plan
from convnets.training.setup import initial_shapes, train_step

MILLION = 1e6


@dataclass(frozen=True)
class Demand:
    """What a step takes.

    Attributes:
      layers: that have parameters which are trained.
      parameters: numbers that are trained.
      operations: of floating point, as XLA counts them before it optimizes.
      memory: bytes of the gradient and of the optimizer's state.
    """

    layers: int
    parameters: int
    operations: float
    memory: int


@dataclass(frozen=True)
class Savings:
    """The demand of a phase beside that of one in which everything is trained."""

    phase: Demand
    whole: Demand

    def __str__(self) -> str:
        phase, whole = self.phase, self.whole
        parameters, memory = (
            [f"{number / MILLION:.3g}" for number in pair]
            for pair in ((phase.parameters, whole.parameters), (phase.memory, whole.memory))
        )
        return (
            f"{phase.layers} of {whole.layers} layers are trained, {parameters[0]} of {parameters[1]} million "
            f"parameters, with {phase.operations / whole.operations:.0%} of the operations of training all; gradient "
            f"and optimizer state take {memory[0]} MB instead of {memory[1]} MB"
        )


def savings(
    config: ConfigDict, model: Model, plan: Plan, phase: Phase, source: Source, transforms: Sequence[Transform]
) -> Savings:
    """What freezing saves in a phase, counted from a trace of the step; nothing is compiled.

    Args:
      source: of training examples; one is read.
      transforms: the augmentation.
    """
    sides = [(0, side) for _, side in plan.resolutions[-1:]]
    example = TrainingBatches(source, batch_size=1, seed=config.seed, steps=1, resolutions=sides)[0]
    # One device: its axis is there for what is summed over all of them.
    batch = {
        name: jax.ShapeDtypeStruct((1, config.train.batch_size, *array.shape[1:]), array.dtype)
        for name, array in example.items()
    }

    def demand(phase: Phase) -> Demand:
        state = initial_shapes(config, model, replace(plan, phases=(phase,)), at=phase.start)
        trained, _ = divided(state.params, phase.frozen)
        step = jax.vmap(train_step(config, model, plan, phase, transforms), in_axes=(None, 0), axis_name=AXIS)
        with implementation.use("plain"):
            cost: Any = jax.jit(step).lower(state, batch).cost_analysis()
        stored = jax.tree.leaves((trained, state.optimizer_state))
        return Demand(
            layers=len({path[:-1] for path in flatten_dict(trained)}),
            parameters=sum(math.prod(array.shape) for array in jax.tree.leaves(trained)),
            operations=float(cost["flops"]),
            memory=sum(math.prod(array.shape) * array.dtype.itemsize for array in stored),
        )

    return Savings(demand(phase), demand(Phase(0, frozenset(), {})))
