"""The trials of a sweep as a table: live while they run, and at the end one row for all seeds of the same values."""

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from convnets.sweeps.space import Values
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trials import COMPLETE, FAILED, PRUNED, RUNNING, WAITING, Trial, without_seed

Row = dict[str, Any]

ORDER = (COMPLETE, PRUNED, RUNNING, WAITING, FAILED)
"""Of the states in the table; that of a row is the first that one of its trials has."""
COLOURS = {COMPLETE: "green", PRUNED: "yellow", FAILED: "red", RUNNING: "bold", WAITING: "dim"}
DONE = (COMPLETE, PRUNED, FAILED)
REST = 8
"""Lines of the terminal that the live table leaves to its frame, the bar and what was printed before."""


def rows_of(trials: Sequence[Trial], sweep: Sweep) -> list[Row]:
    """A row for each group of trials, ready for JSON.

    Complete ones stand first, by the mean of their metric; then those that were pruned, by the metric that they had;
    then the others. The metrics of a row with complete trials are of these alone.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(json.dumps(without_seed(trial.values), sort_keys=True, default=str), []).append(trial)

    def key(row: Row) -> tuple[int, float, int]:
        return ORDER.index(row["state"]), _rank(row["mean"], sweep), row["trials"][0]

    return sorted(map(_row, groups.values()), key=key)


def _rank(value: float | None, sweep: Sweep) -> float:
    """The smaller, the better."""
    return 0.0 if value is None else -value if sweep.higher else value


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
        "std": statistics.stdev(values) if len(values) > 1 else None,
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
        std = "" if row["std"] is None else f" ± {row['std']:.4f}"
        table.add_row(
            ranges(row["trials"]),
            *(escape(cell(row["values"].get(name, ""))) for name in fields),
            "" if row["mean"] is None else f"{row['mean']:.4f}{std}",
            "" if row["test"] is None else f"{row['test']:.4f}",
            str(row["seeds"]),
            duration(row["seconds"]),
            row["state"],
        )
    console.print(table)
    for row in rows:
        for number, error in row["errors"].items():
            console.print(f"trial {number}: {error}", style="red", highlight=False, markup=False, soft_wrap=True)


class LiveTable:
    """Where an engine shows its trials: a live table on a terminal, plain lines elsewhere. A context manager."""

    def __init__(self, console: Console, sweep: Sweep):
        self.console, self.sweep = console, sweep
        self._printed: dict[int, str] = {}
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=console,
            expand=True,
        )
        self._task = self._bar.add_task("trials", total=sweep.trials, counts="")

    def __enter__(self) -> "LiveTable":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, trials: Sequence[Trial]) -> None:
        """As `engines.Screen`; elsewhere than on a terminal a line for each trial that starts or ends."""
        if self._live is not None:
            self._live.update(self.picture(trials), refresh=True)
            return
        for trial in trials:
            if trial.state != self._printed.get(trial.number) and trial.state != WAITING:
                self._printed[trial.number] = trial.state
                self.say(self._line(trial))

    def say(self, line: str) -> None:
        """As `engines.Screen`."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def picture(self, trials: Sequence[Trial]) -> Group:
        """The table of the trials that there is room for, those that run first, and a bar of all."""
        counts = Counter(trial.state for trial in trials)
        words = "  ".join(f"{counts[state]} {state}" for state in (RUNNING, *DONE) if counts[state])
        done = sum(counts[state] for state in DONE)
        self._bar.update(self._task, completed=done, total=max(self.sweep.trials, len(trials)), counts=words)
        shown = sorted((trial for trial in trials if trial.state != WAITING), key=self._place)
        shown = shown[: max(self.console.height - REST, 1)]
        fields = differing([trial.values for trial in shown])
        table = Table("trial", *(short_name(name, fields) for name in fields))
        for name in (self.sweep.metric, "done", "time"):
            table.add_column(name, justify="right")
        table.add_column("state")
        for trial in shown:
            table.add_row(
                f"{trial.number:04}",
                *(escape(cell(trial.values.get(name, ""))) for name in fields),
                "" if trial.value is None else f"{trial.value:.4f}",
                f"{trial.step / trial.steps:.0%}" if trial.steps else "",
                duration(trial.seconds),
                f"[{COLOURS[trial.state]}]{trial.state}[/]",
            )
        return Group(table, self._bar)

    def _place(self, trial: Trial) -> tuple[int, float, int]:
        """Those that run, then the best of the complete ones, then the others."""
        if trial.state == RUNNING:
            return 0, 0.0, trial.number
        return 1 + DONE.index(trial.state), _rank(trial.value, self.sweep), trial.number

    def _line(self, trial: Trial) -> str:
        values = "  ".join(f"{name}={cell(value)}" for name, value in trial.values.items())
        if trial.state == FAILED:
            return f"trial {trial.number:04} failed  {values}: {trial.error}"
        metric = "" if trial.value is None else f"  {self.sweep.metric} {trial.value:.4f}"
        return f"trial {trial.number:04} {trial.state}{metric}  {values}"


def differing(values: Sequence[Values]) -> list[str]:
    """The fields that not all have alike, in the order in which they are named; all if there is none."""
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


def ranges(numbers: Sequence[int]) -> str:
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
