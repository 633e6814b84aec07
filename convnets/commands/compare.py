"""`launch.py compare`: several experiments side by side, each over its seeds."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from convnets.analysis.compared_runs import MOST, Compared, plot_compared_runs
from convnets.analysis.learning_curves import curve_of, lines_of
from convnets.commands.command_line import Arguments
from convnets.commands.experiments import override
from convnets.commands.pictures import picture_path
from convnets.commands.runs import ACCURACY, find_workdirs
from convnets.errors import InvalidValue
from convnets.training.config import PLACES, flatten
from convnets.training.metrics_log import Record, read_records
from convnets.training.workdir import Workdir

LAST = 1.0
"""Training figures are the mean over so many of the last epochs."""

Row = dict[str, Any]

_SEED = re.compile(r"[-_. ]?(seed)?[-_. ]?\d+$")
"""What the folder of one of several seeds ends in, and the experiment's name does not."""


def run(arguments: Arguments) -> int:
    """Prints a table of the experiments, and draws their curves."""
    if not arguments.rest:
        raise InvalidValue("name workdirs, or folders of them: launch.py compare runs/augmentation --out=compared.png")
    out = picture_path(arguments["out"])
    workdirs = [workdir for folder in arguments.rest for workdir in find_workdirs(Path(folder), "the folder of runs")]
    groups = _groups(workdirs)
    if not groups:
        raise InvalidValue(f"there are no runs in {' '.join(arguments.rest)}")
    if out is not None and len(groups) > MOST:
        raise InvalidValue(f"a plot has room for {MOST} experiments, and there are {len(groups)}: name fewer folders")
    records = {name: [read_records(Workdir(place).metrics_file) for place in places] for name, places in groups.items()}
    rows = [{"experiment": name, "seeds": len(seeds)} | _figures(seeds) for name, seeds in records.items()]
    if arguments["json"]:
        print(json.dumps(rows, indent=2))
    else:
        _print(rows)
    if out is not None:
        plot_compared_runs([Compared(name, seeds) for name, seeds in records.items()], ACCURACY, out)
        Console(stderr=True).print(f"drawn: {out}", highlight=False, soft_wrap=True)
    return 0


def _groups(workdirs: list[Path]) -> dict[str, list[Path]]:
    """Runs that differ in the seed alone are one experiment, named as their folders but for the seed."""
    groups: dict[str, list[Path]] = {}
    for place in dict.fromkeys(place.resolve() for place in workdirs):
        fields = dict(flatten(override(Workdir(place).config(), []).to_dict()))
        key = {field: value for field, value in fields.items() if field != "seed" and field not in PLACES}
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(place)
    named: dict[str, list[Path]] = {}
    for places in groups.values():
        name = places[0].name if len(places) == 1 else _SEED.sub("", places[0].name) or places[0].parent.name
        if name in named:
            name = str(places[0])
        named[name] = places
    return named


def _figures(seeds: list[list[Record]]) -> Row:
    """Errors of each part of the data, in [0, 1]: the mean over the seeds, and the deviation of several."""
    row: Row = {}
    for split in ("train", "validation", "test"):
        values = [value for records in seeds if (value := _last(records, split)) is not None]
        if values:
            row[f"{split}_error"] = statistics.mean(values)
        if len(values) > 1:
            row[f"{split}_deviation"] = statistics.stdev(values)
    return row


def _last(records: list[Record], split: str) -> float | None:
    curve = curve_of(lines_of(records, split), ACCURACY).finite()
    if not len(curve.values):
        return None
    recent = curve.epochs > curve.epochs[-1] - LAST if split == "train" else slice(-1, None)
    return 1 - float(curve.values[recent].mean())


def _print(rows: list[Row]) -> None:
    table = Table("experiment", "seeds", "training error", "validation error", "test error")
    for row in rows:
        cells = []
        for split in ("train", "validation", "test"):
            error, deviation = row.get(f"{split}_error"), row.get(f"{split}_deviation")
            text = "" if error is None else f"{error:.2%}"
            cells.append(text if deviation is None else f"{text} ± {deviation:.2%}")
        table.add_row(row["experiment"], str(row["seeds"]), *cells)
    Console().print(table)
