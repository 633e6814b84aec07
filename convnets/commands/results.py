"""Results of an evaluation as the commands print and keep them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from convnets.evaluation.evaluate import Evaluation


def result_of(evaluation: Evaluation, split: str, step: int) -> dict[str, Any]:
    """What is kept of an evaluation, ready for JSON."""
    return {"split": split, "checkpoint": step, **evaluation.metrics, "examples": evaluation.examples}


def print_result(console: Console, evaluation: Evaluation, split: str, step: int, more: Mapping[str, str]) -> None:
    """A table of the metrics, the number of examples, and what else there is to say."""
    table = Table(title=f"{split}, checkpoint of step {step}", show_header=False)
    for name, value in evaluation.metrics.items():
        table.add_row(name, f"{value:.4f}")
    table.add_row("examples seen", f"{evaluation.examples:,}")
    for name, text in more.items():
        table.add_row(name, text)
    console.print(table)
