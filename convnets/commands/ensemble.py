"""`launch.py ensemble`: several checkpoints as one classifier, their scores averaged."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.console import Console

from convnets.commands.command_line import Arguments
from convnets.commands.experiments import config_of_run
from convnets.commands.results import errors_of, print_result
from convnets.commands.runtime import prepare
from convnets.commands.scored_run import ScoredRun
from convnets.errors import InvalidValue
from convnets.evaluation.scores import as_logits
from convnets.files import write_atomically
from convnets.training.progress import Screen
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """Prints the metrics of the members and of their mean. Scores that were kept are not computed again."""
    if not arguments.rest:
        raise InvalidValue("name the runs: launch.py ensemble runs/seed0 runs/seed1 runs/seed2@best")
    out = Path(arguments["out"]) if arguments["out"] else None
    if out is not None and out.suffix != ".json":
        raise InvalidValue(f"--out is {str(out)!r}, and an ensemble's result is JSON: let it end in .json")
    members = [_member(name, arguments) for name in arguments.rest]
    prepare(members[0].config)
    first = members[0]
    console = Console(stderr=arguments["json"])
    with Screen(console) as screen:
        parts = [member.scores(screen) for member in members]
    for name, member, part in zip(arguments.rest, members, parts, strict=True):
        same_classes = member.model.info.classes == first.model.info.classes
        if not same_classes or not np.array_equal(part["index"], parts[0]["index"]):
            raise InvalidValue(f"{name} was evaluated on other examples or classes than {arguments.rest[0]}")
    figures = [metrics_of(member, part["scores"], part["label"]) for member, part in zip(members, parts, strict=True)]
    together = metrics_of(first, mean_scores([part["scores"] for part in parts]), parts[0]["label"])
    views = {"protocol": first.config.evaluation.protocol, "views": len(first.views)}
    result = {
        "split": first.split,
        **views,
        "examples": len(parts[0]["label"]),
        "members": [
            {"run": name, "checkpoint": member.step, **metrics}
            for name, member, metrics in zip(arguments.rest, members, figures, strict=True)
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
        for name, member, metrics in zip(arguments.rest, members, figures, strict=True)
    }
    title = f"{first.split}, ensemble of {len(members)}, {views['protocol']}, {views['views']} views an image"
    print_result(console, together, len(parts[0]["label"]), title, more)
    return 0


def mean_scores(scores: list[np.ndarray]) -> np.ndarray:
    """The mean of arrays `[N, classes]`; of one, itself."""
    mean: np.ndarray = np.stack(scores).astype(np.float64).mean(axis=0)
    return mean.astype(np.float32)


def metrics_of(member: ScoredRun, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What the task measures of scores `[N, classes]`."""
    logits = as_logits(jnp.asarray(scores), member.config.evaluation.average)
    batch = {"label": jnp.asarray(labels), "weight": jnp.ones(len(labels))}
    sums: dict[str, Any] = member.model.task.measure((logits, {}), batch)
    return member.model.task.summarize({name: np.asarray(value, np.float64) for name, value in sums.items()})


def _member(name: str, arguments: Arguments) -> ScoredRun:
    folder, _, checkpoint = name.partition("@")
    workdir = Workdir(folder)
    flags = Arguments(arguments.flags, arguments.overrides, [])
    return ScoredRun(workdir, config_of_run(workdir, flags), arguments["split"], checkpoint)
