"""Checkpoints on disk, and the networks in them. All that the project knows of Orbax is in this file."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, PartitionSpec
from ml_collections import ConfigDict
from orbax.checkpoint import v1 as ocp

from convnets.errors import ConvnetsError, InvalidValue
from convnets.tasks.model import Model
from convnets.training.metrics_log import best_step, read_records
from convnets.training.plan import make_plan, metric_of
from convnets.training.setup import initial_state
from convnets.training.workdir import Workdir

# Orbax tells of every file at INFO and of its defaults at WARNING through absl; a run's own lines say what matters.
logging.getLogger("absl").setLevel(logging.ERROR)

STATE = "state"
COMPLAINTS_SHOWN = 12

ENDS_WITHIN = 5.0
"""Seconds that a run which fails leaves to a save under way: with another process gone it would never be whole."""


class CheckpointMismatch(ConvnetsError):
    """A checkpoint that does not fit the network or the optimizer that it is asked to fill."""


class DamagedCheckpoint(ConvnetsError):
    """A checkpoint whose files can't be read."""


@dataclass(frozen=True, kw_only=True)
class _Best(ocp.training.preservation_policies.PreservationPolicy):
    """Keeps the step that the run holds for its best at the time of asking."""

    step: Callable[[], int | None]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        best = self.step()
        return [checkpoint.step == best for checkpoint in checkpoints]


class Checkpoints:
    """The checkpoints of a run: the last few and the best, each whole or not there at all. A context manager.

    A checkpoint is the train state (arrays) and a small dict (JSON): where the data stream stands, the time spent, the
    config. It is written to a temporary folder and renamed, so a killed save leaves the one before. All processes of a
    run save and restore together, in a folder that all of them see.

    Args:
      folder: made if it is not there.
      keep: how many of the latest to keep.
      best_step: asked at each save which older step must be kept besides.
      sweep: whether to remove what a killed save left; only for the run itself, never beside a run that goes on.
      when_whole: told in the background of each step that is whole on disk; what it raises, `wait` does.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 2,
        best_step: Callable[[], int | None] = lambda: None,
        sweep: bool = False,
        when_whole: Callable[[int], None] = lambda step: None,
    ):
        policies = ocp.training.preservation_policies
        self.folder = folder
        self._checkpointer = ocp.training.Checkpointer(
            folder.absolute(),
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(keep), _Best(step=best_step)]),
            cleanup_tmp_directories=sweep,
        )
        # The loop asks JAX at each step whether to stop, by consecutive numbers, to one of which JAX says yes. Orbax
        # would ask too, by numbers of its own, and the yes could be to a number that the loop has passed.
        self._checkpointer._manager.reached_preemption = lambda step: False
        self._when_whole = when_whole
        self._finisher = ThreadPoolExecutor(1)
        self._saving: Future[None] | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None and jax.process_count() > 1:
            wait([self._saving] if self._saving else [], timeout=ENDS_WITHIN)
            return
        self.wait()
        self._finisher.shutdown()
        self._checkpointer.close()

    @property
    def steps(self) -> list[int]:
        """The steps that there are checkpoints of, ascending."""
        return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    def save(self, step: int, state: Any, memory: dict[str, Any]) -> None:
        """Starts to save; returns as soon as the state may be changed. A step that is there already is left alone."""
        self.wait()
        if step in self.steps:
            return
        state = _global(state)
        saving = self._checkpointer.save_checkpointables_async(step, {STATE: state}, custom_metadata=memory)

        def finish() -> None:
            saving.result()
            self._when_whole(step)

        self._saving = self._finisher.submit(finish)

    def wait(self) -> None:
        """Until the save under way is whole on disk, and has been told of."""
        if self._saving is not None:
            saving, self._saving = self._saving, None
            saving.result()

    def memory(self, step: int) -> dict[str, Any]:
        """The small dict that was saved with the step."""
        return dict(self._checkpointer.checkpointables_metadata(step).custom_metadata or {})

    def restore(self, step: int, like: Any) -> Any:
        """The state saved at `step`, in the shape of `like`, as NumPy arrays.

        Raises:
          InvalidValue: no checkpoint of that step.
          DamagedCheckpoint: files that can't be read.
          CheckpointMismatch: arrays that are missing, left over or of another shape or type; the first dozen are named.
        """
        if step not in self.steps:
            there = ", ".join(map(str, self.steps)) or "none"
            raise InvalidValue(f"{self.folder} holds no checkpoint of step {step}: there are {there}")
        damaged = f"the checkpoint {self.folder / str(step)} is damaged: remove its folder to go on from the one before"
        try:
            saved = self._checkpointer.checkpointables_metadata(step).metadata[STATE]
        except Exception as error:
            raise DamagedCheckpoint(f"{damaged} ({type(error).__name__})") from error
        if not _named(saved):
            raise DamagedCheckpoint(f"{damaged} (no arrays)")
        _refuse_misfits(f"the checkpoint {self.folder / str(step)}", _named(saved), _named(like))
        target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
        try:
            return self._checkpointer.load_checkpointables(step, {STATE: target})[STATE]
        except Exception as error:
            raise DamagedCheckpoint(f"{damaged} ({type(error).__name__})") from error


def _global(state: Any) -> Any:
    """What Orbax can write: with several processes, arrays that all of them know to be one."""
    if jax.process_count() == 1:
        return state
    mesh = Mesh(np.array(jax.devices()), ("devices",))
    return multihost_utils.host_local_array_to_global_array(jax.tree.map(np.asarray, state), mesh, PartitionSpec())


def _named(tree: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name -> (shape, type) of each array of a tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (tuple(leaf.shape), np.dtype(leaf.dtype).name)
        for path, leaf in leaves
    }


def _refuse_misfits(what: str, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    complaints = [f"{name} is missing" for name in sorted(wanted.keys() - saved.keys())]
    complaints += [f"{name} is left over" for name in sorted(saved.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & saved.keys()):
        if saved[name] != wanted[name]:
            (shape, dtype), (wanted_shape, wanted_dtype) = saved[name], wanted[name]
            complaints.append(f"{name} is {dtype}{list(shape)} and not {wanted_dtype}{list(wanted_shape)}")
    if complaints:
        shown = complaints[:COMPLAINTS_SHOWN]
        if len(complaints) > len(shown):
            shown.append(f"and {len(complaints) - len(shown)} more")
        raise CheckpointMismatch(f"{what} does not fit this network and optimizer: {'; '.join(shown)}")


def restore_variables(workdir: Workdir, config: ConfigDict, model: Model, which: str) -> tuple[int, Any]:
    """The variables that evaluation applies the network with, from a checkpoint of a run that may still be going on.

    Args:
      which: "best", "last", or a step.

    Returns:
      The step of the checkpoint, and the variables as NumPy arrays.

    Raises:
      InvalidValue: no such checkpoint.
      CheckpointMismatch: a checkpoint of another network.
    """
    step = find_step(workdir, config, model, which)
    plan = make_plan(config, model, model.info.splits["train"] - config.validation.examples)
    with Checkpoints(workdir.checkpoints) as checkpoints:
        state = checkpoints.restore(step, initial_state(config, model, plan, at=step))
    return step, state.variables()


def find_step(workdir: Workdir, config: ConfigDict, model: Model, which: str) -> int:
    """The step of a checkpoint: "best", "last", or a step.

    Raises:
      InvalidValue: a run without checkpoints, or another word.
    """
    steps = steps_of(workdir)
    if not steps:
        raise InvalidValue(f"{workdir.folder} has no checkpoints yet: train first")
    if which == "best":
        best = best_step(read_records(workdir.metrics_file), *metric_of(config, model.task), steps)
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
