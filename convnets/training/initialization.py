"""A run that begins with layers of another one."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from convnets.errors import ConvnetsError, InvalidValue
from convnets.pretrained.initialize import initialize
from convnets.training.config import complete
from convnets.training.restore import find_step, restore_variables, steps_of
from convnets.training.setup import Model, build_model
from convnets.training.state import TrainState
from convnets.training.workdir import Workdir


@dataclass(frozen=True)
class Beginning:
    """Layers that a new run begins with.

    Attributes:
      variables: of the network that they are taken from, as evaluation applies it.
      layers: their names.
      of: what was taken from where, in words.
    """

    variables: Any
    layers: tuple[str, ...]
    of: str

    def put_into(self, state: TrainState) -> TrainState:
        """The state before the first step with these layers in it, in the average of its parameters too."""

        def begun(params: Any, source: Any) -> dict[str, Any]:
            return initialize({"params": params, "batch_stats": state.batch_stats}, source, self.layers)[0]

        average = state.average
        if average is not None:
            # Copied, because a step overwrites its parameters and their average, which must not share memory.
            average = begun(average, jax.tree.map(np.copy, self.variables))["params"]
        return state.replace(**begun(state.params, self.variables), average=average)


def beginning_of(config: ConfigDict, model: Model, workdir: Workdir) -> Beginning | None:
    """What the config's `initialize` names, read and found to fit; None without it, or if the run has begun before.

    Raises:
      InvalidValue: a folder without such a checkpoint of a run, damaged files in it, or layers that don't fit.
    """
    given = config.initialize
    if not given.workdir:
        if given.layers:
            raise InvalidValue(
                f"initialize.layers names {', '.join(given.layers)}, and initialize.workdir no run to take them from: "
                "name one, or set initialize.layers to ()"
            )
        return None
    if steps_of(workdir):
        return None
    step, variables = _read(Workdir(given.workdir), given.checkpoint)
    image = jnp.zeros((1, *model.image_shape))
    own = jax.eval_shape(partial(model.network.init, train=False), jax.random.key(0), image)
    try:
        _, taken = initialize(own, variables, given.layers)
    except InvalidValue as error:
        raise InvalidValue(f"initialize.layers, from {given.workdir}: {error}") from None
    return Beginning(variables, tuple(given.layers), f"{taken} of {given.workdir} at step {step:,}")


def _read(workdir: Workdir, checkpoint: str) -> tuple[int, Any]:
    """The step and the variables of a checkpoint of a run."""
    try:
        config = complete(workdir.config())
        model = build_model(config, workdir.info())
        step = find_step(workdir, config, model, checkpoint)
        return restore_variables(workdir, config, model, str(step))
    except ConvnetsError as error:
        raise InvalidValue(f"initialize.workdir: {error}") from None
