"""Results of an evaluation as the commands print and keep them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convnets.evaluation.evaluate import Evaluation
from convnets.tasks.task import Tables


def result_of(evaluation: Evaluation, split: str, step: int, tables: Tables) -> dict[str, Any]:
    """What is kept of an evaluation, ready for JSON; with `tables`, where the task has some."""
    figures = evaluation.metrics | errors_of(evaluation.metrics)
    result = {"split": split, "checkpoint": step, **figures, "examples": evaluation.examples}
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
    """A table of the metrics, the number of examples, and what else there is to say; then the task's own tables."""
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
        of_task = Table(*header, title=heading)
        for row in rows:
            of_task.add_row(*map(escape, row))
        console.print(of_task)
