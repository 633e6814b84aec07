"""A sweep that is ready to run: checked, and known to each engine."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from convnets import data, tasks
from convnets.errors import InvalidValue
from convnets.sweeps.space import Choice, Distribution, Range, Space, Values
from convnets.training.config import CHOICES, flatten, options_of
from convnets.training.config_rules import with_fields

DEFAULT_TRIALS = 20
PRUNERS = ("median", "hyperband", "none")

ONE_FOR_ALL = ("task.name", "evaluation.metric", "validation.examples")
"""Fields that say what trials are compared by."""


@dataclass(frozen=True)
class Sweep:
    """What an engine is given.

    Attributes:
      config: the experiment's, completed and locked, before a trial's values are put in.
      space: with every value as the field has it.
      workdir: of the sweep; the workdirs of the trials are in it.
      metric, higher: what is compared, of the validation split, and whether more of it is better.
      trials: how many in all.
      parallel: how many at once on one machine; 0: one for each device.
      pruner: one of `PRUNERS`.
      storage: the address of a database; empty: a file in the workdir.
      heartbeat: seconds between a worker's signs of life.
      retry: whether trials that failed are started once more.
      workers: processes, each with its devices, that share the trials; for engines of clusters.
      options: of the engine, by name.
    """

    config: ConfigDict
    space: Space
    workdir: Path
    metric: str
    higher: bool
    trials: int
    parallel: int = 0
    pruner: str = "none"
    storage: str = ""
    heartbeat: int = 10
    retry: bool = False
    workers: int = 1
    options: Mapping[str, str] = field(default_factory=dict)

    def folder(self, number: int) -> Path:
        """The workdir of a trial, by its number from 0."""
        return self.workdir / "trials" / f"{number:04}"

    def checkpoint_of(self, values: Values) -> str:
        """Which checkpoint a trial with these values tests, "best" or "last"."""
        name = "evaluation.checkpoint"
        return str((self.space.constants | values).get(name, self.config.evaluation.checkpoint))

    def config_of(self, values: Values) -> ConfigDict:
        """The config of a trial with these values; what is constant in the space is added.

        Raises:
          InvalidValue: a value that the config can't have beside the others.
        """
        return with_fields(self.config, self.space.constants | values)


def checked_space(space: Space, config: ConfigDict) -> Space:
    """The space with every value as the config has it (1 as 1.0 in a field of numbers, a list as a tuple).

    Each fixed trial is put into the config, and of a search each combination of choices that have options of their own,
    with the ends of every range.

    Raises:
      InvalidValue: a field that is not there or may not differ, a value or a distribution that it can't have.
    """
    for name in space.fields:
        if name in ONE_FOR_ALL:
            raise InvalidValue(
                f"sweep() sets {name!r}, and trials are compared by one metric on the same examples: set it in "
                "get_config(), for all"
            )
    fixed = tuple(_as_in(with_fields(config, space.constants | values), values) for values in space.fixed)
    if not space.search:
        return replace(space, fixed=fixed)
    constants = _as_in(with_fields(config, space.constants), space.constants) if space.constants else {}
    search: dict[str, Distribution] = {}
    named = {name: space.search[name] for name in (f"{section}.name" for section in CHOICES) if name in space.search}
    for combination in itertools.product(*(_ends(distribution) for distribution in named.values())):
        names = dict(zip(named, combination, strict=True))
        first = names | {name: _ends(space.search[name])[0] for name in space.search if name not in named}
        for name, distribution in space.search.items():
            found = [
                with_fields(config, constants | first | {name: value})
                for value in (_ends(distribution) if name not in named else [first[name]])
            ]
            old = dict(flatten(found[0]))[name]
            if isinstance(distribution, Range):
                if isinstance(old, int) and not distribution.whole:
                    raise InvalidValue(f"{name} takes whole numbers, and was given {distribution}: use integers(...)")
                search[name] = distribution
            elif name not in named:
                search[name] = Choice(tuple(_as_in(its, {name: 0})[name] for its in found))
            else:
                search[name] = distribution
    return Space(fixed, {name: search[name] for name in space.search}, constants)


def _ends(distribution: Distribution) -> list[Any]:
    return [distribution.low, distribution.high] if isinstance(distribution, Range) else list(distribution.values)


def _as_in(config: ConfigDict, values: Values) -> Values:
    """The fields of `values` as the config has them."""
    fields = dict(flatten(config))
    return {name: fields[name] for name in values}


def metric_of(config: ConfigDict) -> tuple[str, bool]:
    """The metric that the experiment chooses by, and whether more of it is better.

    Raises:
      InvalidValue: no validation split to measure it on, or an unknown metric.
    """
    if not config.validation.examples:
        raise InvalidValue("a sweep compares its trials on the validation split: set validation.examples above 0")
    info = data.describe(config.data.name, **options_of(config, "data"))
    task = tasks.create(config.task.name, info, **options_of(config, "task"))
    metric = config.evaluation.metric or task.primary
    if metric not in task.metrics:
        raise InvalidValue(f"unknown evaluation.metric {metric!r}: known are {', '.join(task.metrics)}")
    return metric, task.metrics[metric]
