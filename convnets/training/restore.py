"""The networks of finished, or still going, runs."""

from typing import Any

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.tasks.model import Model
from convnets.training.checkpoints import Checkpoints
from convnets.training.metrics_log import best_step, read_records
from convnets.training.plan import Plan, make_plan
from convnets.training.setup import initial_state
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
    step, plan = find_step(workdir, config, model, which), _plan(config, model)
    with Checkpoints(workdir.checkpoints) as checkpoints:
        state = checkpoints.restore(step, initial_state(config, model, plan, at=step))
    return step, state.variables()


def find_step(workdir: Workdir, config: ConfigDict, model: Model, which: str) -> int:
    """The step of a checkpoint: "best", "last", or a step.

    Raises:
      InvalidValue: a run without checkpoints, or another word.
    """
    plan, steps = _plan(config, model), steps_of(workdir)
    if not steps:
        raise InvalidValue(f"{workdir.folder} has no checkpoints yet: train first")
    if which == "best":
        best = best_step(read_records(workdir.metrics_file), plan.metric, plan.higher, steps)
        return steps[-1] if best is None else best
    if which == "last":
        return steps[-1]
    if not (which.isascii() and which.isdigit()):
        raise InvalidValue(f"the checkpoint {which!r} is not 'best', 'last' or a step")
    if int(which) not in steps:
        there = ", ".join(map(str, steps))
        raise InvalidValue(f"{workdir.folder} has no checkpoint of step {which}: there are {there}")
    return int(which)


def steps_of(workdir: Workdir) -> list[int]:
    """The steps that a run has checkpoints of, ascending."""
    # Orbax would make the folder.
    if not workdir.checkpoints.exists():
        return []
    with Checkpoints(workdir.checkpoints) as checkpoints:
        return checkpoints.steps


def _plan(config: ConfigDict, model: Model) -> Plan:
    return make_plan(config, model, model.info.splits["train"] - config.validation.examples)
