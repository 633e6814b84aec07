"""Sweeps of the default config for tests that start no training."""

from pathlib import Path
from typing import Any

from convnets.sweeps.space import space_of
from convnets.sweeps.sweep import Sweep, checked_space
from convnets.sweeps.trials import COMPLETE, Trial
from convnets.training.config import complete, default_config


def small_sweep(workdir: Path, *yielded: dict[str, Any], **more: Any) -> Sweep:
    """What `launch.py sweep` makes of these dicts."""
    config = complete(default_config())
    space = checked_space(space_of(yielded), config)
    given: dict[str, Any] = {"metric": "top1", "higher": True, "trials": len(space.fixed)} | more
    return Sweep(config=config, space=space, workdir=workdir, **given)


def complete_trial(number: int, value: float, **more: Any) -> Trial:
    """A trial that reached so much in one evaluation."""
    given: dict[str, Any] = {"values": {"seed": number}, "folder": Path(f"{number:04}"), "state": COMPLETE} | more
    return Trial(number, history=(value,), value=value, **given)
