"""All that a run remembers from one step to the next."""

import math
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array

MANY_PARAMETERS = 50_000_000
"""From here on, drawing the parameters takes longer than compiling what draws them."""


class TrainState(flax.struct.PyTreeNode):
    """One logical copy, the same on every device.

    Attributes:
      step: int32, steps done.
      params: the network's parameters, float32.
      batch_stats: running statistics of batch norm, float32 (empty for networks without).
      optimizer_state: of optax.
      average: exponential moving average of the params, or None.
      plateau: what the plateau schedule remembers (scale of the learning rate, best value, evaluations since), or None.
    """

    step: Array
    params: Any
    batch_stats: Any
    optimizer_state: Any
    average: Any
    plateau: Any

    def variables(self) -> dict[str, Any]:
        """What evaluation applies the network with: the averaged parameters if there are any."""
        params = self.params if self.average is None else self.average
        return {"params": params, "batch_stats": self.batch_stats}


def create_state(
    network: nn.Module,
    image_shape: tuple[int, int, int],
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    average: bool = False,
    plateau: optax.GradientTransformationExtraArgs | None = None,
) -> TrainState:
    """The state before the first step; the parameters are a function of the seed alone."""

    def initialize() -> TrainState:
        images = jnp.zeros((1, *image_shape), jnp.float32)
        variables = network.init({"params": jax.random.key(seed)}, images, train=False)
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables.get("batch_stats", {}),
            optimizer_state=optimizer.init(params),
            average=params if average else None,
            plateau=None if plateau is None else plateau.init(params),
        )

    # Runs once: on CPU, code that is compiled in a fifth of the time is worth being slower, up to so many numbers.
    traced = jax.jit(initialize).trace()
    size = sum(math.prod(array.shape) for array in jax.tree.leaves(traced.out_info.params))
    level = 0 if size < MANY_PARAMETERS else 1
    quick = {"xla_backend_optimization_level": level} if jax.default_backend() == "cpu" else {}
    return traced.lower().compile(compiler_options=quick)()
