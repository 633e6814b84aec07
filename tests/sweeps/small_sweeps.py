"""Sweeps of the default config, and trials without training."""

import time
from pathlib import Path
from typing import Any

from convnets.errors import InvalidValue
from convnets.sweeps.space import space_of
from convnets.sweeps.sweep import Sweep, checked_space
from convnets.sweeps.trials import COMPLETE, Trial
from convnets.training.config import complete, default_config

RATE = "optimizer.learning_rate"


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


class Playback:
    """Starts processes of trials that train nothing: an evaluation at each look, until they end or are stopped.

    A learning rate of 0.03 is refused, and 0.02 fails.

    Attributes:
      values: of the evaluations.
      statuses: exit statuses of those that end, one after the other; then 0, or 1 for those that fail.
      together: none ends before so many have begun.
      begun, stopped: the names of the workdirs.
      most: how many there were at once.
    """

    def __init__(self, values=(0.5, 0.6, 0.7), *, statuses=(), together=1, never_ends=False):
        self.values, self.statuses, self.together, self.never_ends = values, iter(statuses), together, never_ends
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self.running = self.most = 0

    def __call__(self, folder, config, share):
        if config.optimizer.learning_rate == 0.03:
            raise InvalidValue("this one can't be begun")
        self.begun.append(folder.name)
        self.running += 1
        self.most = max(self.most, self.running)
        return _Played(self, folder.name, fails=config.optimizer.learning_rate == 0.02)


class _Played:
    def __init__(self, playback: Playback, name: str, fails: bool):
        self.playback, self.name, self.fails = playback, name, fails
        self.steps, self.reported, self.asked, self.status = 10 * len(playback.values), 0, False, None

    def wait(self, seconds=None):
        if self.status is None:
            time.sleep(0.005)
            playback = self.playback
            may_end = len(playback.begun) >= playback.together and not playback.never_ends
            if self.asked or self.fails or (self.reported == len(playback.values) and may_end):
                playback.running -= 1
                self.status = 143 if self.asked else next(playback.statuses, 1 if self.fails else 0)
                if isinstance(self.status, Exception):
                    raise self.status
        return self.status

    def new_evaluations(self):
        if self.asked or self.reported == len(self.playback.values):
            return []
        self.reported += 1
        return [{"step": 10 * self.reported, "top1": self.playback.values[self.reported - 1]}]

    def stop(self):
        self.asked = True
        self.playback.stopped.append(self.name)

    def error(self):
        return "its last line"
