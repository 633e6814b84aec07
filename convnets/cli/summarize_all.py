"""`launch.py summarize --all`: every registered network in one table, and the plot of accuracy against operations."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from convnets.analysis.families import PRINTED, family_of
from convnets.analysis.network_costs import KnownNetwork, cost_of, known_networks, native_shape
from convnets.analysis.published import published_of
from convnets.cli.command_line import Arguments
from convnets.cli.command_table import COMMANDS
from convnets.cli.networks_table import CountedNetwork, as_csv, as_record, table_of_networks, table_of_runs
from convnets.cli.pictures import picture_path
from convnets.cli.runs import FinishedRun, RunReader, find_workdirs
from convnets.errors import ConvnetsError, InvalidValue
from convnets.plots.accuracy_and_operations import Point, plot_accuracy_and_operations, published_points

OWN_FLAGS = ("all", "runs", "out", "json", "csv")

FILE_WIDTH = 140
"""Columns of a table that no terminal limits."""


def run(arguments: Arguments) -> int:
    """Counts all networks at their native size; with --runs also the networks of the runs in a folder."""
    _refuse_others(arguments)
    if arguments["json"] and arguments["csv"]:
        raise InvalidValue("give either --json or --csv")
    path = picture_path(arguments["out"])
    folder = Path(arguments["runs"]) if arguments["runs"] else None
    workdirs = find_workdirs(folder) if folder else []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        counted = count_all(progress.track(known_networks(), description="counting networks"))
        runs, left_out = read_all(progress.track(workdirs, description="reading runs"), folder or Path())
    if path:
        costs = {name: one.cost for one in counted for name in one.network.names}
        plot_accuracy_and_operations(published_points(costs), path, runs=points_of(runs))
    if arguments["json"]:
        document = {"networks": [as_record(one) for one in counted], "runs": [asdict(run) for run in runs]}
        print(json.dumps(document | {"left_out": left_out}, indent=2))
    elif arguments["csv"]:
        print(as_csv(counted), end="")
    else:
        console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH)
        console.print(table_of_networks(counted))
        if folder:
            console.print(table_of_runs(runs, folder))
    errors = Console(stderr=True)
    for sentence in left_out:
        errors.print(sentence, highlight=False, soft_wrap=True)
    if path:
        errors.print(f"picture: {path}", highlight=False, soft_wrap=True)
    return 0


def _refuse_others(arguments: Arguments) -> None:
    """Refuses what is about one network."""
    defaults = {flag.name: flag.default for flag in COMMANDS["summarize"].flags if flag.name not in OWN_FLAGS}
    given = [f"--{name}" for name, default in defaults.items() if arguments[name] != default]
    given += [repr(word) for word in arguments.rest] + arguments.overrides
    if given:
        raise InvalidValue(f"--all counts every network at its native size: leave {' '.join(given)} out")


def count_all(networks: Iterable[KnownNetwork]) -> list[CountedNetwork]:
    """By family in the order of their papers, then by the size of images and of the network."""
    counted = [
        CountedNetwork(network, cost_of(network.module, native_shape(network.module)), published_of(network.names))
        for network in networks
    ]
    order = list(PRINTED)

    def place(one: CountedNetwork) -> tuple[Any, ...]:
        family = order.index(one.family) if one.family in order else len(order)
        return family, one.family, one.cost.image_shape[0] > 64, one.cost.parameters, one.cost.multiply_adds

    return sorted(counted, key=place)


def read_all(workdirs: Iterable[Path], folder: Path) -> tuple[list[FinishedRun], list[str]]:
    """The finished runs, the best of each data set first, and a sentence for each workdir that can't be used."""
    reader = RunReader()
    runs, left_out = [], []
    for place in workdirs:
        name = str(place.relative_to(folder)) if place != folder else place.name
        try:
            runs.append(reader.read(place, name))
        except ConvnetsError as error:
            left_out.append(f"left out {place}: {error}")
    return sorted(runs, key=lambda run: (run.data, -run.accuracy, run.name)), left_out


def points_of(runs: Sequence[FinishedRun]) -> dict[str, list[Point]]:
    """The runs as points of the plot, by their data sets."""
    points: dict[str, list[Point]] = {}
    for run in runs:
        cost = run.cost
        point = Point(run.name, family_of(run.network), cost.multiply_adds, cost.parameters, 100 * run.accuracy)
        points.setdefault(run.data, []).append(point)
    return points
