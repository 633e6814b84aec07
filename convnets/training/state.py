"""All that a run remembers from one step to the next."""

import math
from collections.abc import Callable, Collection
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from convnets.pretrained.freezing import divided, joined
from convnets.pretrained.patterns import Path, flat
from convnets.tasks.model import Model

MANY_PARAMETERS = 50_000_000
"""From here on, drawing the parameters takes longer than compiling what draws them."""


class TrainState(flax.struct.PyTreeNode):
    """One logical copy, the same on every device.

    Attributes:
      step: int32, steps done.
      params: the network's parameters, float32, frozen ones among them.
      batch_stats: running statistics of batch norm, float32 (empty for networks without).
      optimizer_state: of optax, for the params that are trained.
      average: exponential moving average of the params that are trained, or None.
      plateau: what the plateau schedule remembers (scale of the learning rate, best value, evaluations since), or None.
    """

    step: Array
    params: Any
    batch_stats: Any
    optimizer_state: Any
    average: Any
    plateau: Any

    def variables(self) -> dict[str, Any]:
        """What evaluation applies the network with: the averaged parameters where there are any."""
        params = self.params
        if self.average is not None:
            frozen, _ = divided(params, flat(self.average))
            params = joined(self.average, frozen)
        return {"params": params, "batch_stats": self.batch_stats}

    def with_variables(self, params: Any, batch_stats: Any) -> "TrainState":
        """The state before the first step with other parameters and statistics, of the same shapes and types."""
        average = self.average
        if average is not None:
            # Copied, because a step overwrites its parameters and their average, which must not share memory.
            average = jax.tree.map(np.copy, divided(params, flat(average))[1])
        return self.replace(params=params, batch_stats=batch_stats, average=average)

    def entering(self, optimizer: optax.GradientTransformation, frozen: Collection[Path]) -> "TrainState":
        """The state, as NumPy arrays, with other parameters frozen than before.

        What goes on to be trained keeps the optimizer's state and the average. What is trained from now on begins with
        those of a first step, and what is frozen from now on stays at the parameters themselves, not at their average.
        """
        trained, _ = divided(self.params, frozen)
        begun = (
            jax.device_get(optimizer.init(trained)),
            None if self.average is None else jax.tree.map(np.copy, trained),
        )
        kept = dict(jax.tree_util.tree_leaves_with_path((self.optimizer_state, self.average)))
        state, average = jax.tree_util.tree_map_with_path(lambda path, leaf: kept.get(path, leaf), begun)
        return self.replace(optimizer_state=state, average=average)


def first_state(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    average: bool = False,
    plateau: optax.GradientTransformationExtraArgs | None = None,
    frozen: Collection[Path] = (),
) -> TrainState:
    """The state before the first step; the parameters are a function of the seed alone.

    Args:
      average: whether it has an average of the parameters.
      frozen: parameters that are not trained.
    """
    variables = model.init(jax.random.key(seed))
    params = variables["params"]
    trained, _ = divided(params, frozen)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        optimizer_state=optimizer.init(trained),
        average=trained if average else None,
        plateau=None if plateau is None else plateau.init(params),
    )


def create_state(initial: Callable[[], TrainState]) -> TrainState:
    """The state that a function such as `first_state` gives, computed."""
    # Runs once: on CPU, code that is compiled in a fifth of the time is worth being slower, up to so many numbers.
    traced = jax.jit(initial).trace()
    size = sum(math.prod(array.shape) for array in jax.tree.leaves(traced.out_info.params))
    level = 0 if size < MANY_PARAMETERS else 1
    quick = {"xla_backend_optimization_level": level} if jax.default_backend() == "cpu" else {}
    return traced.lower().compile(compiler_options=quick)()
