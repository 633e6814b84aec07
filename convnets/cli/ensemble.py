"""`ensemble`: several checkpoints as one classifier, their scores averaged."""

import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from convnets.cli.command_line import Arguments
from convnets.cli.evaluate import ScoredRun
from convnets.cli.experiments import config_of_run
from convnets.cli.results import errors_of, print_result
from convnets.cli.runtime import prepare
from convnets.errors import InvalidValue
from convnets.evaluation.averaging import mean
from convnets.files import write_atomically
from convnets.progress import Screen
from convnets.tasks.task import loss_and_sums
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """Prints the metrics of the members and of their mean. Scores that were kept are not computed again."""
    if not arguments.rest:
        raise InvalidValue("name the runs: ensemble runs/seed0 runs/seed1 runs/seed2@best")
    out = _result_file(arguments["out"])
    named = [_named(name) for name in arguments.rest]
    flags = Arguments(arguments.flags, arguments.overrides, [])
    configs = [config_of_run(workdir, flags) for workdir, _ in named]
    _check_alike(arguments.rest, configs)
    prepare(configs[0])
    members = [
        ScoredRun(workdir, config, arguments["split"], checkpoint)
        for (workdir, checkpoint), config in zip(named, configs, strict=True)
    ]
    first = members[0]
    for name, member in zip(arguments.rest, members, strict=True):
        if (member.model.info.classes, len(member.source)) != (first.model.info.classes, len(first.source)):
            raise InvalidValue(f"{name} was trained on other classes or examples than {arguments.rest[0]}")
    console = Console(stderr=arguments["json"])
    with Screen(console) as screen:
        parts = [member.scores(screen) for member in members]
    for name, part in zip(arguments.rest, parts, strict=True):
        if not np.array_equal(part["index"], parts[0]["index"]):
            raise InvalidValue(f"{name} was evaluated on other examples than {arguments.rest[0]}")
    measured = [metrics_of(member, part["scores"], part["label"]) for member, part in zip(members, parts, strict=True)]
    scores = mean([part["scores"] for part in parts], first.config.evaluation.average)
    together = metrics_of(first, scores, parts[0]["label"])
    result = {
        "split": first.split,
        **first.protocol(),
        "examples": len(parts[0]["label"]),
        "members": [
            {"run": name, "checkpoint": member.step, **metrics}
            for name, member, metrics in zip(arguments.rest, members, measured, strict=True)
        ],
        "ensemble": together | errors_of(together),
    }
    if out is not None:
        write_atomically(out, json.dumps(result, indent=2))
    if arguments["json"]:
        print(json.dumps(result))
        return 0
    more = {
        f"top-1 error of {name}, step {member.step}": f"{1 - metrics['top1']:.2%}"
        for name, member, metrics in zip(arguments.rest, members, measured, strict=True)
    }
    title = f"{first.split}, ensemble of {len(members)}, {first.in_words()}"
    print_result(console, together, len(parts[0]["label"]), title, more)
    return 0


def metrics_of(member: ScoredRun, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What the task measures of scores `[N, classes]`."""
    batch = {"label": jnp.asarray(labels), "weight": jnp.ones(len(labels))}
    _, sums = loss_and_sums(member.model.task, (jnp.asarray(scores), {}), batch, train=False)
    return member.model.task.summarize({name: np.asarray(value, np.float64) for name, value in sums.items()})


def _named(name: str) -> tuple[Workdir, str]:
    """The workdir and the checkpoint that DIR or DIR@CHECKPOINT stands for."""
    if Path(name).is_dir():
        return Workdir(name), ""
    folder, at, checkpoint = name.rpartition("@")
    return (Workdir(folder), checkpoint) if at else (Workdir(name), "")


def _check_alike(names: list[str], configs: list[ConfigDict]) -> None:
    """Refuses to average scores of different kinds.

    Raises:
      InvalidValue: the first field that differs.
    """
    for name, config in zip(names, configs, strict=True):
        for field in ("protocol", "scales", "average"):
            one, other = configs[0].evaluation[field], config.evaluation[field]
            if one != other:
                raise InvalidValue(
                    f"evaluation.{field} is {one!r} in {names[0]} and {other!r} in {name}: "
                    f"give one for all with --config.evaluation.{field}"
                )


def _result_file(out: str) -> Path | None:
    if not out:
        return None
    path = Path(out)
    if path.suffix != ".json":
        raise InvalidValue(f"--out is {out!r}, and an ensemble's result is JSON: let it end in .json")
    if not os.access(path.parent, os.W_OK):
        raise InvalidValue(f"--out is {out!r}, and no file can be made in {path.parent}")
    return path
