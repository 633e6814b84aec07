"""What a run begins with, as a table and as a file of the run."""

import json
import math
from itertools import groupby

from rich.console import Console
from rich.table import Table

from convnets.files import write_atomically
from convnets.pretrained.surgery import Entry, Report
from convnets.training.initialization import Beginning
from convnets.training.workdir import Workdir


def tell(beginning: Beginning, workdir: Workdir, console: Console) -> None:
    """Prints the report, and keeps it in the workdir."""
    table = Table(title=f"begins with {beginning.source.origin}", title_justify="left")
    for name in ("layers", "what became of them"):
        table.add_column(name, overflow="fold")
    for name in ("arrays", "numbers"):
        table.add_column(name, justify="right")
    for row in rows(beginning.report):
        table.add_row(*row)
    console.print(table)
    facts = {"of": beginning.source.origin, "arrays": beginning.report.to_json()}
    write_atomically(workdir.initialization_file, json.dumps(facts, indent=1))


def rows(report: Report) -> list[tuple[str, str, str, str]]:
    """A row for all layers that follow each other and met with the same."""
    return [_row(list(entries), what) for what, entries in groupby(report.entries, _in_words)]


def _row(entries: list[Entry], what: str) -> tuple[str, str, str, str]:
    layers = list(dict.fromkeys(entry.name.partition("/")[0] for entry in entries))
    names = layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"
    numbers = sum(math.prod(entry.shape) for entry in entries)
    return names, what, f"{len(entries):,}", f"{numbers:,}"


def _in_words(entry: Entry) -> str:
    return f"{entry.what}: {entry.detail}" if entry.detail else entry.what
