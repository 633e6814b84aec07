"""Results as the commands print and keep them: of an evaluation, and of what a run begins with."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convnets.evaluation.evaluator import Evaluation, Tables
from convnets.files import write_atomically
from convnets.pretrained.surgery import Entry, Report
from convnets.training.initialization import Initialization
from convnets.training.workdir import Workdir


def result_of(evaluation: Evaluation, split: str, step: int) -> dict[str, Any]:
    """What is kept of an evaluation, ready for JSON; with `tables`, where the task has some."""
    tables = evaluation.tables
    metrics = evaluation.metrics | errors_of(evaluation.metrics)
    result = {"split": split, "checkpoint": step, **metrics, "examples": evaluation.examples}
    return result | ({"tables": tables} if tables else {})


def errors_of(metrics: Mapping[str, float]) -> dict[str, float]:
    """The errors of top-k accuracies, as ILSVRC's tables have them."""
    return {f"{name}_error": 1 - value for name, value in metrics.items() if is_top(name)}


def is_top(metric: str) -> bool:
    """Whether a metric is a top-k accuracy."""
    return metric.startswith("top") and metric[3:].isdigit()


def in_words(tables: Tables) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    """Title, header and rows of each table, numbers as text."""
    for title, rows in tables.items():
        yield title, list(rows[0]), [[_cell(value) for value in row.values()] for row in rows]


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def print_result(
    console: Console,
    metrics: Mapping[str, float],
    examples: int,
    title: str,
    more: Mapping[str, str],
    tables: Tables | None = None,
) -> None:
    """Prints a table of the metrics, the number of examples and `more`, then the task's own tables."""
    table = Table(title=title, show_header=False)
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    for name, value in errors_of(metrics).items():
        table.add_row(f"top-{name[3:].removesuffix('_error')} error", f"{value:.2%}")
    table.add_row("examples seen", f"{examples:,}")
    for name, text in more.items():
        table.add_row(name, text)
    console.print(table)
    for heading, header, rows in in_words(tables or {}):
        console.print(text_table(heading, header, rows))


def text_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of text that is shown as it is, the first column to the left."""
    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def show_initialization(initialization: Initialization, workdir: Workdir, console: Console) -> None:
    """Prints what becomes of each layer of a run that begins with other weights, and keeps it in the workdir."""
    table = Table(title=f"begins with {initialization.weights.origin}", title_justify="left")
    for name in ("layers", "what became of them"):
        table.add_column(name, overflow="fold")
    for name in ("arrays", "numbers"):
        table.add_column(name, justify="right")
    for row in initialization_rows(initialization.report):
        table.add_row(*row)
    console.print(table)
    facts = {"of": initialization.weights.origin, "arrays": initialization.report.to_json()}
    write_atomically(workdir.initialization_file, json.dumps(facts, indent=1))


def initialization_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """A row for all layers that follow each other and of which the same became: names, what, arrays, numbers."""

    def what_of(entry: Entry) -> str:
        return f"{entry.what}: {entry.detail}" if entry.detail else entry.what

    rows = []
    for what, group in groupby(report.entries, what_of):
        entries = list(group)
        layers = list(dict.fromkeys(entry.name.partition("/")[0] for entry in entries))
        names = layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"
        numbers = sum(math.prod(entry.shape) for entry in entries)
        rows.append((names, what, f"{len(entries):,}", f"{numbers:,}"))
    return rows
