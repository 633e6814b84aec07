"""The networks of finished, or still going, runs."""

from typing import Any

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.training.checkpoints import Checkpoints
from convnets.training.metrics_log import best_step, read_records
from convnets.training.setup import Model, initial_state, make_plan
from convnets.training.workdir import Workdir


def restore_variables(workdir: Workdir, config: ConfigDict, model: Model, which: str) -> tuple[int, Any]:
    """The variables that evaluation applies the network with, from a checkpoint of the run.

    Args:
      which: "best", "last", or a step.

    Returns:
      The step of the checkpoint, and the variables as NumPy arrays.

    Raises:
      InvalidValue: no such checkpoint.
      CheckpointMismatch: a checkpoint of another network.
    """
    if not workdir.checkpoints.exists():
        raise InvalidValue(f"{workdir.folder} has no checkpoints yet: train first")
    plan = make_plan(config, model.task, model.info.splits["train"] - config.validation.examples)
    with Checkpoints(workdir.checkpoints) as checkpoints:
        if not checkpoints.steps:
            raise InvalidValue(f"{workdir.folder} has no checkpoints yet: train first")
        if which == "best":
            step = best_step(read_records(workdir.metrics_file), plan.metric, plan.higher, checkpoints.steps)
            step = checkpoints.steps[-1] if step is None else step
        elif which == "last":
            step = checkpoints.steps[-1]
        elif which.isdigit():
            step = int(which)
        else:
            raise InvalidValue(f"the checkpoint {which!r} is not 'best', 'last' or a step")
        state = checkpoints.restore(step, initial_state(config, model, plan))
    return step, state.variables()
