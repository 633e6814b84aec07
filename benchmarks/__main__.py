"""Runs the benchmarks: all, or those named."""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module

import jax
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Result, write
from convnets.errors import ConvnetsError, InvalidValue, nearest

BENCHMARKS = (
    "loop_overhead",
    "steps_per_dispatch",
    "gradient_accumulation",
    "precision",
    "freezing",
    "scaling",
    "data",
    "input_pipeline",
    "resampling",
    "augmentation",
    "against_pytorch",
)
LONG = ("transfer_textures", "transfer_fashion_mnist")
"""Those that take many minutes, or files that have to be fetched first, and run only if they are named."""


def overview() -> str:
    """The benchmarks and what they measure."""
    lines = ["benchmarks:"]
    for name in (*BENCHMARKS, *LONG):
        summary = (import_module(f"benchmarks.{name}").__doc__ or "").splitlines()[0]
        lines.append(f"  {name:<22} {summary}")
    return "\n".join(lines)


def parse(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The names of the benchmarks to run, and whether quickly.

    Raises:
      InvalidValue: a name that is not one of them.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures what the parts of a training step cost, as ratios within one run; "
        "prints tables and writes benchmarks/results/NAME.json.",
        epilog=overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which benchmarks to run (default: all but {', '.join(LONG)})"
    )
    parser.add_argument("--quick", action="store_true", help="a short run: fewer slices, fewer variants")
    given = parser.parse_args(arguments)
    for name in given.names:
        if name not in (*BENCHMARKS, *LONG):
            raise InvalidValue(f"there is no benchmark {name!r}: {nearest(name, (*BENCHMARKS, *LONG))}")
    return list(given.names or BENCHMARKS), given.quick


def show(result: Result, console: Console) -> None:
    """The table and its reading."""
    table = Table(title=result.title, title_justify="left", title_style="bold")
    for column, value in result.rows[0].items():
        table.add_column(
            column.replace("_", " "), justify="left" if isinstance(value, str) else "right", overflow="fold"
        )
    for row in result.rows:
        table.add_row(*(f"{value:,.3f}" if isinstance(value, float) else _text(value) for value in row.values()))
    console.print(table)
    console.print(result.reading, highlight=False)
    console.print()


def _text(value: str | int | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else value


def main(arguments: Sequence[str]) -> int:
    """Runs a command line; returns the exit status."""
    # Compile times are measured, so nothing may be compiled already.
    jax.config.update("jax_enable_compilation_cache", False)
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        names, quick = parse(arguments)
        for name in names:
            console.print(f"{name} ...", highlight=False)
            began = time.perf_counter()
            result: Result = import_module(f"benchmarks.{name}").run(quick)
            seconds = time.perf_counter() - began
            path = write(name, result, quick=quick, seconds=seconds)
            show(result, console)
            console.print(f"{seconds:.0f} s, {path}", style="dim", highlight=False, soft_wrap=True)
            console.print()
    except ConvnetsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
