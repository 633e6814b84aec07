"""`launch.py summarize --all`: every registered network in one table, and the plot of accuracy against operations."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from convnets.analysis.network_costs import KnownNetwork, NetworkCost, cost_of, known_networks, native_shape
from convnets.analysis.published import FAMILIES, ONE_CROP, Published, family_of, published_of
from convnets.analysis.summary_table import short_bytes
from convnets.cli.command_line import Arguments
from convnets.cli.command_table import COMMANDS
from convnets.cli.printing import console, new_table, picture_path, print_aside
from convnets.cli.runs import FinishedRun, RunReader, find_workdirs
from convnets.errors import ConvnetsError, InvalidValue
from convnets.plots.accuracy_and_operations import Point, plot_accuracy_and_operations, published_points

OWN_FLAGS = ("all", "runs", "out", "json", "csv")


class CountedNetwork(NamedTuple):
    """A registered network, its family, what it costs, and what it was reported to reach."""

    network: KnownNetwork
    family: str
    cost: NetworkCost
    published: list[Published]


def run(arguments: Arguments) -> int:
    """Counts all networks at their native size; with --runs also the networks of the runs in a folder."""
    # What is about one network.
    defaults = {flag.name: flag.default for flag in COMMANDS["summarize"].flags if flag.name not in OWN_FLAGS}
    given = [f"--{name}" for name, default in defaults.items() if arguments[name] != default]
    given += [repr(word) for word in arguments.rest] + arguments.overrides
    if given:
        raise InvalidValue(f"--all counts every network at its native size: leave {' '.join(given)} out")
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
        points: dict[str, list[Point]] = {}
        for run in runs:
            counts = run.cost.multiply_adds, run.cost.parameters
            point = Point(run.name, family_of(run.network), *counts, 100 * run.accuracy)
            points.setdefault(run.data, []).append(point)
        plot_accuracy_and_operations(published_points(costs), path, runs=points)
    if arguments["json"]:
        networks = [
            {
                "names": one.network.names,
                "family": one.family,
                "classes": one.network.classes,
                **asdict(one.cost),
                "published": [asdict(entry) for entry in one.published],
            }
            for one in counted
        ]
        document = {"networks": networks, "runs": [asdict(run) for run in runs], "left_out": left_out}
        print(json.dumps(document, indent=2))
    elif arguments["csv"]:
        print(as_csv(counted), end="")
    else:
        output = console()
        output.print(table_of_networks(counted))
        if folder:
            output.print(table_of_runs(runs, folder))
    for sentence in left_out + ([f"picture: {path}"] if path else []):
        print_aside(sentence)
    return 0


def count_all(networks: Iterable[KnownNetwork]) -> list[CountedNetwork]:
    """By family in the order of their papers, then by the size of images and of the network."""
    counted = [
        CountedNetwork(
            network,
            family_of(network.names[0]),
            cost_of(network.module, native_shape(network.module)),
            published_of(network.names),
        )
        for network in networks
    ]
    order = list(FAMILIES)

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


def as_csv(counted: Sequence[CountedNetwork]) -> str:
    """A line for each network under a line of names; of several published accuracies that of one crop, the first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("parameters", "multiply_adds", "activation_bytes", "receptive_field", "stride")
    published = ("top1", "top5", "weights", "protocol", "data")
    names = ("network", "aliases", "family", "image_shape", "classes", *columns)
    writer.writerow([*names, *(f"published_{field}" for field in published)])
    for one in counted:
        first, *aliases = one.network.names
        shape = "x".join(map(str, one.cost.image_shape))
        best = [getattr(one.published[0], field) for field in published] if one.published else [""] * len(published)
        counts = [getattr(one.cost, column) for column in columns]
        writer.writerow([first, " ".join(aliases), one.family, shape, one.network.classes, *counts, *best])
    return text.getvalue()


def table_of_networks(counted: Sequence[CountedNetwork]) -> Table:
    """A row for each network; several published accuracies stand below each other."""
    title = "All networks at their native size, for 1,000 classes (images of 32 pixels: 10)"
    columns = ("network", "image", "parameters", "GMACs", "activations", "sees", "stride", "published")
    table = new_table(title, columns, left=("network", "published"))
    table.caption_justify = "left"
    table.caption = (
        "GMACs: billions of multiply-adds of one image; activations: of one image, float32; sees: receptive field of "
        "the last map before the classifier, and its stride; published: top-1 / top-5 in %"
    )
    for i, one in enumerate(counted):
        if i and counted[i - 1].family != one.family:
            table.add_section()
        cost, (first, *others) = one.cost, one.network.names
        table.add_row(
            f"{first} ({', '.join(others)})" if others else first,
            "×".join(map(str, cost.image_shape)),
            f"{cost.parameters:,}",
            _billions(cost.multiply_adds),
            short_bytes(cost.activation_bytes),
            str(cost.receptive_field or ""),
            str(cost.stride or ""),
            "\n".join(_reported(entry) for entry in one.published),
        )
    return table


def _billions(number: int) -> str:
    """To three decimals, as publications do; to four where those would be zeros."""
    return f"{number / 1e9:.{3 if number >= 1e7 else 4}f}"


def _reported(entry: Published) -> str:
    accuracies = " / ".join("–" if top is None else f"{top:.2f}" for top in (entry.top1, entry.top5))
    data = "" if entry.data == "ImageNet" else f", {entry.data}"
    protocol = "" if entry.protocol == ONE_CROP else f", {entry.protocol}"
    return f"{accuracies} {entry.weights}{protocol}{data}"


def table_of_runs(runs: Sequence[FinishedRun], folder: Path) -> Table:
    """A row for each run."""
    words = ("run", "network", "data")
    table = new_table(f"Runs below {folder}", (*words, "image", "top-1", "parameters", "GMACs"), left=words)
    for run in runs:
        table.add_row(
            run.name,
            run.network,
            run.data,
            "×".join(map(str, run.cost.image_shape)),
            f"{run.accuracy:.2%}",
            f"{run.cost.parameters:,}",
            _billions(run.cost.multiply_adds),
        )
    return table
