"""The trials of a sweep as a table: one row for those that differ in the seed alone, the best first."""

import json
import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convnets.sweeps.space import Values
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trials import COMPLETE, FAILED, PRUNED, RUNNING, WAITING, Trial, without_seed

Row = dict[str, Any]

ORDER = (COMPLETE, PRUNED, RUNNING, WAITING, FAILED)
"""Of the states in the table; that of a row is the first that one of its trials has."""


def rows_of(trials: Sequence[Trial], sweep: Sweep) -> list[Row]:
    """A row for each group of trials, ready for JSON.

    Complete ones stand first, by the mean of their metric; then those that were pruned, by the metric that they had;
    then the others. The figures of a row with complete trials are of these alone.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(json.dumps(without_seed(trial.values), sort_keys=True, default=str), []).append(trial)
    rows = [_row(group) for group in groups.values()]

    def key(row: Row) -> tuple[int, float, int]:
        value = row["mean"]
        rank = 0.0 if value is None else -value if sweep.higher else value
        return ORDER.index(row["state"]), rank, row["trials"][0]

    return sorted(rows, key=key)


def _row(group: Sequence[Trial]) -> Row:
    state = min((trial.state for trial in group), key=ORDER.index)
    counted = [trial for trial in group if trial.state == state]
    values = [trial.value for trial in counted if trial.value is not None]
    tests = [trial.test for trial in counted if trial.test is not None]
    return {
        "trials": [trial.number for trial in group],
        "values": without_seed(group[0].values),
        "state": state,
        "seeds": len(counted),
        "mean": statistics.mean(values) if values else None,
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "test": statistics.mean(tests) if tests else None,
        "seconds": sum(trial.seconds for trial in group),
        "errors": {trial.number: trial.error for trial in group if trial.error},
    }


def print_table(console: Console, rows: Sequence[Row], sweep: Sweep) -> None:
    """The rows on the terminal; a column for each field that differs."""
    fields = differing([row["values"] for row in rows])
    table = Table(title=f"validation {sweep.metric}, {'most' if sweep.higher else 'least'} first", title_justify="left")
    table.add_column("trials")
    for name in fields:
        table.add_column(short_name(name, fields), overflow="fold")
    for name in (sweep.metric, "test", "seeds", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in rows:
        deviation = "" if row["deviation"] is None else f" ± {row['deviation']:.4f}"
        cells = [
            in_few_words(row["trials"]),
            *(escape(cell(row["values"].get(name, ""))) for name in fields),
            "" if row["mean"] is None else f"{row['mean']:.4f}{deviation}",
            "" if row["test"] is None else f"{row['test']:.4f}",
            str(row["seeds"]),
            duration(row["seconds"]),
            row["state"],
        ]
        table.add_row(*cells)
    console.print(table)
    for row in rows:
        for number, error in row["errors"].items():
            console.print(f"trial {number}: {error}", style="red", highlight=False, markup=False, soft_wrap=True)


def differing(values: Sequence[Values]) -> list[str]:
    """The fields that not all have alike, in the order in which they are named."""
    names = list(dict.fromkeys(name for each in values for name in each))
    return [name for name in names if len({json.dumps(each.get(name), default=str) for each in values}) > 1] or names


def short_name(name: str, among: Sequence[str]) -> str:
    """The last word of a field, unless another one ends alike or it says nothing alone."""
    last = name.rpartition(".")[2]
    alone = last != "name" and sum(other.rpartition(".")[2] == last for other in among) == 1
    return last if alone else name


def cell(value: Any) -> str:
    """A value of a field, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def in_few_words(numbers: Sequence[int]) -> str:
    """Numbers in order, runs of them as `0-2`."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
