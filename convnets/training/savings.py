"""What freezing saves: of the layers, the operations of a step, and the memory of gradients and optimizer."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from ml_collections import ConfigDict

from convnets import kernels
from convnets.augment import Transform
from convnets.data.pipeline import TrainingBatches
from convnets.data.source import Source
from convnets.parallel import AXIS
from convnets.pretrained.freezing import divided
from convnets.pretrained.patterns import Path, flat
from convnets.tasks.model import Model
from convnets.training.plan import Phase, Plan
from convnets.training.setup import train_step
from convnets.training.state import TrainState

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
    config: ConfigDict,
    model: Model,
    plan: Plan,
    phase: Phase,
    source: Source,
    state: TrainState,
    chain: Sequence[Transform],
) -> Savings:
    """Counted from the shapes of arrays and a trace of the step; nothing is compiled.

    Args:
      source: of training examples; one is read.
      state: of any phase; shapes and types are all that is read of its arrays.
      chain: of transforms.
    """
    sides = [(0, side) for _, side in plan.resolutions[-1:]]
    example = TrainingBatches(source, batch_size=1, seed=config.seed, steps=1, resolutions=sides)[0]
    # One device: its axis is there for what is summed over all of them.
    batch = {
        name: jax.ShapeDtypeStruct((1, config.train.batch_size, *array.shape[1:]), array.dtype)
        for name, array in example.items()
    }

    def demand(phase: Phase) -> Demand:
        begun = _shapes(state, plan, phase.frozen)
        trained, _ = divided(begun.params, phase.frozen)
        one = jax.vmap(train_step(config, model, plan, phase, chain), in_axes=(None, 0), axis_name=AXIS)
        with kernels.use("plain"):
            cost: Any = jax.jit(one).lower(begun, batch).cost_analysis()
        return Demand(
            layers=len({path[:-1] for path in flat(trained)}),
            parameters=sum(math.prod(array.shape) for array in jax.tree.leaves(trained)),
            operations=float(cost["flops"]),
            memory=_bytes((trained, begun.optimizer_state)),
        )

    return Savings(demand(phase), demand(Phase(0, frozenset(), {})))


def _shapes(state: TrainState, plan: Plan, frozen: Collection[Path]) -> TrainState:
    """Of the state with other parameters frozen."""
    state = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), state)
    trained, _ = divided(state.params, frozen)
    average = None if state.average is None else trained
    return state.replace(optimizer_state=jax.eval_shape(plan.optimizer.init, trained), average=average)


def _bytes(tree: Any) -> int:
    return sum(math.prod(array.shape) * array.dtype.itemsize for array in jax.tree.leaves(tree))
