"""`launch.py sweep`: many trials of one experiment, and which is the best."""

import json
import signal
from pathlib import Path

from rich.console import Console

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import load_experiment, load_sweep, override, refuse_rest, with_data_dir
from convnets.errors import InvalidValue, nearest
from convnets.sweeps.engines import engine
from convnets.sweeps.results import draw, keep
from convnets.sweeps.space import Space, space_of
from convnets.sweeps.storage import claim
from convnets.sweeps.sweep import DEFAULT_TRIALS, PRUNERS, Sweep, checked_space, metric_of
from convnets.sweeps.table import LiveTable, print_table, rows_of
from convnets.sweeps.trials import RUNNING, WAITING

OF_ONE_ENGINE = {"address": ("ray", ""), "slurm": ("slurm", ""), "workers": ("slurm", 1)}
"""Flags that other engines have no use for, with their defaults."""


def run(arguments: Arguments) -> int:
    """Runs the trials, or resumes them; then a table, plots, and the config of the best."""
    refuse_rest(arguments)
    runs = engine(arguments["engine"])
    path = arguments.required("config")
    workdir = Path(arguments.required("workdir"))
    config = override(load_experiment(path), with_data_dir(arguments))
    space = checked_space(space_of(load_sweep(path)), config)
    metric, higher = metric_of(config)
    sweep = Sweep(
        config=config,
        space=space,
        workdir=workdir,
        metric=metric,
        higher=higher,
        trials=_trials(space, arguments["trials"]),
        parallel=_at_least("parallel", arguments["parallel"], 0),
        pruner=_pruner(space, arguments["pruner"]),
        storage=arguments["storage"],
        heartbeat=_at_least("heartbeat", arguments["heartbeat"], 1),
        retry=arguments["retry"],
        workers=_at_least("workers", arguments["workers"], 1),
        options=_options(arguments["engine"], arguments),
    )
    claim(sweep)
    # With --json the table alone goes to the standard output.
    console = Console(stderr=arguments["json"])
    console.print(
        f"{sweep.trials} trials of {path}, compared by the validation {metric}, workdir {workdir}",
        highlight=False,
        soft_wrap=True,
    )
    with LiveTable(console, sweep) as screen:
        ended = runs.run(sweep, screen)
    rows = rows_of(ended.trials, sweep)
    keep(ended.trials, rows, sweep)
    if arguments["json"]:
        print(json.dumps(rows, indent=2))
    else:
        print_table(console, rows, sweep)
    if ended.interrupted:
        name = signal.Signals(ended.interrupted).name
        console.print(f"stopped by {name}, and saved: the same command again resumes it", soft_wrap=True)
        return 128 + ended.interrupted
    left = [trial for trial in ended.trials if trial.state in (WAITING, RUNNING)]
    if left:
        raise InvalidValue(f"{len(left)} trials are left: the same command again resumes them")
    for picture in draw(ended.trials, sweep):
        console.print(f"drawn: {picture}", highlight=False, soft_wrap=True)
    best = workdir / "best.json"
    if not best.exists():
        raise InvalidValue(f"no trial came to its end: {workdir / 'sweep.json'} has what was wrong with each")
    again = f"python launch.py train --config={best} --workdir=..."
    console.print(f"to train the best again: {again}", highlight=False, soft_wrap=True)
    return 0


def _trials(space: Space, given: int) -> int:
    fixed = len(space.fixed)
    if not space.search:
        if given:
            raise InvalidValue(f"--trials is {given}, and sweep() yields {fixed} fixed trials: leave it out")
        return fixed
    wanted = _at_least("trials", given, 0) or max(DEFAULT_TRIALS, fixed)
    if wanted < fixed:
        raise InvalidValue(f"--trials is {wanted}, and the search starts with {fixed} fixed ones: it needs as many")
    return wanted


def _pruner(space: Space, given: str) -> str:
    """Fixed trials are all asked for, so that none is stopped unless it is said."""
    if not given:
        return "median" if space.search else "none"
    if given not in PRUNERS:
        raise InvalidValue(f"unknown --pruner {given!r}: {nearest(given, PRUNERS)}")
    return given


def _at_least(name: str, value: int, least: int) -> int:
    if value < least:
        raise InvalidValue(f"--{name} is {value}, and must be at least {least}")
    return value


def _options(name: str, arguments: Arguments) -> dict[str, str]:
    """The engine's own options: `--slurm=name=value,name=value`, and `--address` of Ray's."""
    for flag, (its, default) in OF_ONE_ENGINE.items():
        if arguments[flag] != default and name != its:
            raise InvalidValue(f"--{flag} is for the engine {its}, and --engine is {name!r}: give --engine={its}")
    if arguments["address"]:
        return {"address": arguments["address"]}
    given = arguments.flags.get(name, "")
    options = {}
    for part in given.split(",") if given else []:
        option, equals, value = part.partition("=")
        if not (option and equals):
            raise InvalidValue(f"--{name} takes name=value,name=value, and was given {given!r}")
        options[option.strip()] = value.strip()
    return options
