"""What commands print and draw: tables, the console they go to, and where a picture is kept."""

import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convnets.errors import InvalidValue

FILE_WIDTH = 140
"""Columns of a table that no terminal limits."""


def console() -> Console:
    """Standard output; as wide as the terminal, if there is one."""
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH)


def new_table(title: str, columns: Sequence[str], left: Collection[str] = ()) -> Table:
    """An empty table under a bold title, its numbers to the right.

    Args:
      left: the columns of words.
    """
    name = Text(title, "bold not italic", no_wrap=True, overflow="ignore")
    table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right")
    return table


def print_tables(tables: Iterable[Table], lines: Iterable[str]) -> None:
    """Prints tables, and lines below them."""
    output = console()
    for table in tables:
        output.print(table)
    for line in lines:
        output.print(line, highlight=False, soft_wrap=True, style="dim")


def print_aside(line: str) -> None:
    """Prints a line that is no result to standard error."""
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)


def picture_path(out: str) -> Path | None:
    """The path of `--out`, or None without it; asked before minutes of work.

    Raises:
      InvalidValue: a path that can't be a picture's.
    """
    if not out:
        return None
    path = Path(out)
    if path.suffix.lower() != ".png" or path.is_dir():
        raise InvalidValue(f"--out is {out!r}, and pictures are PNG files: let it end in .png")
    return path
