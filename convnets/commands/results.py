"""Results of an evaluation as the commands print and keep them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from convnets.evaluation.evaluate import Evaluation


def result_of(evaluation: Evaluation, split: str, step: int) -> dict[str, Any]:
    """What is kept of an evaluation, ready for JSON."""
    figures = evaluation.metrics | errors_of(evaluation.metrics)
    return {"split": split, "checkpoint": step, **figures, "examples": evaluation.examples}


def errors_of(metrics: Mapping[str, float]) -> dict[str, float]:
    """The errors of top-k accuracies, as ILSVRC's tables have them."""
    return {f"{name}_error": 1 - value for name, value in metrics.items() if is_top(name)}


def is_top(metric: str) -> bool:
    """Whether a metric is a top-k accuracy."""
    return metric.startswith("top") and metric[3:].isdigit()


def print_result(
    console: Console, metrics: Mapping[str, float], examples: int, title: str, more: Mapping[str, str]
) -> None:
    """A table of the metrics, the number of examples, and what else there is to say."""
    table = Table(title=title, show_header=False)
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    for name, value in errors_of(metrics).items():
        table.add_row(f"top-{name[3:].removesuffix('_error')} error", f"{value:.2%}")
    table.add_row("examples seen", f"{examples:,}")
    for name, text in more.items():
        table.add_row(name, text)
    console.print(table)
