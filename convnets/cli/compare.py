"""`launch.py compare`: several experiments side by side, each over its seeds."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import override
from convnets.cli.printing import picture_path, print_aside
from convnets.cli.runs import ACCURACY, find_workdirs
from convnets.errors import InvalidValue
from convnets.plots.learning_curves import MOST_COMPARED, Compared, curve_of, lines_of, plot_compared_runs
from convnets.tasks import Task, create
from convnets.training.config import PLACES, flatten, options_of
from convnets.training.metrics_log import Record, read_records
from convnets.training.setup import load_splits
from convnets.training.workdir import Workdir

LAST = 1.0
"""Training metrics are the mean over so many of the last epochs."""

NO_MEASURES = ("epoch", "seconds", "examples")
"""Numbers in a record of an evaluation that say nothing of how good it is."""

Row = dict[str, Any]

_SEED = re.compile(r"[-_. ]?(seed)?[-_. ]?\d+$")
"""What the folder of one of several seeds ends in, and the experiment's name does not."""


def run(arguments: Arguments) -> int:
    """Prints a table of the experiments, and draws their curves and, if the task has such a picture, examples."""
    if not arguments.rest:
        raise InvalidValue("name workdirs, or folders of them: launch.py compare runs/augmentation --out=compared.png")
    out = picture_path(arguments["out"])
    workdirs = [workdir for folder in arguments.rest for workdir in find_workdirs(Path(folder), "the folder of runs")]
    groups = _groups(workdirs)
    if not groups:
        raise InvalidValue(f"there are no runs in {' '.join(arguments.rest)}")
    if out is not None and len(groups) > MOST_COMPARED:
        raise InvalidValue(
            f"a plot has room for {MOST_COMPARED} experiments, and there are {len(groups)}: name fewer folders"
        )
    records = {name: [read_records(Workdir(place).metrics_file) for place in places] for name, places in groups.items()}
    task = _task_of(workdirs)
    # Of a classifier the errors of each part of the data, and of other networks all measures of the test.
    has_accuracy = ACCURACY in task.metrics
    measured = _errors if has_accuracy else _measures
    rows = [{"experiment": name, "seeds": len(seeds)} | measured(seeds) for name, seeds in records.items()]
    if arguments["json"]:
        print(json.dumps(rows, indent=2))
    else:
        Console().print(_table_of_errors(rows) if has_accuracy else _table_of_measures(rows))
    if out is not None:
        plot_compared_runs([Compared(name, seeds) for name, seeds in records.items()], task.progress, out)
        drawn = [out]
        if task.compared_pictures is not None:
            drawn.append(out.with_stem(f"{out.stem}_examples"))
            kept = {name: _records(Workdir(places[0])) for name, places in groups.items()}
            source = load_splits(override(Workdir(next(iter(groups.values()))[0]).config(), [])).test
            task.compared_pictures(kept, source, drawn[-1])
        for path in drawn:
            print_aside(f"drawn: {path}")
    return 0


def _records(workdir: Workdir) -> dict[str, np.ndarray]:
    """What a run keeps of the test split."""
    path = workdir.predictions_file("test")
    if not path.exists():
        raise InvalidValue(f"{workdir.folder} has no {path.name}: let the run finish, or evaluate it on the test split")
    with np.load(path) as records:
        return dict(records)


def _task_of(workdirs: list[Path]) -> Task:
    """The task that all the runs have.

    Raises:
      InvalidValue: runs of several tasks.
    """
    configs = [override(Workdir(place).config(), []) for place in workdirs]
    names = sorted({config.task.name for config in configs})
    if len(names) > 1:
        raise InvalidValue(f"the runs are of the tasks {', '.join(names)}, which can't be compared: name runs of one")
    return create(names[0], Workdir(workdirs[0]).info(), **options_of(configs[0], "task"))


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


def _errors(seeds: list[list[Record]]) -> Row:
    """Errors of each part of the data, in [0, 1]: the mean over the seeds, and the deviation of several."""
    row: Row = {}
    for split in ("train", "validation", "test"):
        values = [value for records in seeds if (value := _last(records, split)) is not None]
        if values:
            row |= _over_seeds(values, f"{split}_error", f"{split}_deviation")
    return row


def _over_seeds(values: list[float], name: str, deviation: str) -> Row:
    found = {name: statistics.mean(values)}
    return found | ({deviation: statistics.stdev(values)} if len(values) > 1 else {})


def _last(records: list[Record], split: str) -> float | None:
    curve = curve_of(lines_of(records, split), ACCURACY).finite()
    if not len(curve.values):
        return None
    recent = curve.epochs > curve.epochs[-1] - LAST if split == "train" else slice(-1, None)
    return 1 - float(curve.values[recent].mean())


def _measures(seeds: list[list[Record]]) -> Row:
    """What the test split was found to be by each measure: the mean over the seeds, and the deviation of several."""
    tests = [found[-1] for records in seeds if (found := lines_of(records, "test"))]
    row: Row = {}
    for name in tests[0] if tests else ():
        values = [test[name] for test in tests]
        if name not in NO_MEASURES and all(isinstance(value, float) for value in values):
            row |= _over_seeds(values, name, f"{name}_deviation")
    return row


def _cell(row: Row, name: str, deviation: str, form: str) -> str:
    """A mean and, of several seeds, the deviation."""
    return " ± ".join(f"{row[each]:{form}}" for each in (name, deviation) if each in row)


def _table_of_measures(rows: list[Row]) -> Table:
    """A column for each experiment: measures are more."""
    names = [name for name in max(rows, key=len) if name not in ("experiment", "seeds") and "_deviation" not in name]
    table = Table("measure", *(row["experiment"] for row in rows))
    for name in names:
        table.add_row(name, *(_cell(row, name, f"{name}_deviation", ".4f") for row in rows))
    table.add_row("seeds", *(str(row["seeds"]) for row in rows))
    return table


def _table_of_errors(rows: list[Row]) -> Table:
    table = Table("experiment", "seeds", "training error", "validation error", "test error")
    for row in rows:
        cells = (_cell(row, f"{split}_error", f"{split}_deviation", ".2%") for split in ("train", "validation", "test"))
        table.add_row(row["experiment"], str(row["seeds"]), *cells)
    return table
