"""Any part of the comparison with PyTorch, from the command line.

    python -m benchmarks.side_by_side --networks resnet20,vgg16 --types bfloat16 --modes training \
        --contestants compiled,eager --seconds 20
"""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Sequence
from itertools import product
from pathlib import Path

from rich.console import Console

from benchmarks.measuring import Row
from benchmarks.side_by_side.cases import MODES, NETWORKS, TYPES, Case
from benchmarks.side_by_side.floor import measured_rates
from benchmarks.side_by_side.match import available, play
from benchmarks.side_by_side.process import CONTESTANTS, MEMORY
from benchmarks.side_by_side.rows import rows_of, table_of
from convnets.errors import nearest
from convnets.files import write_atomically


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; every list defaults to all there is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__.splitlines()[0])
    for flag, known in {"networks": NETWORKS, "types": TYPES, "modes": MODES, "contestants": CONTESTANTS}.items():
        parser.add_argument(
            f"--{flag}", type=some_of(known), default=list(known), metavar="A,B", help=f"of {', '.join(known)}"
        )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each case, compilation not counted")
    parser.add_argument(
        "--memory",
        choices=(*MEMORY, "both"),
        default=MEMORY[0],
        help="what becomes of memory that the contestants free: it stays with their processes, it is returned as the "
        "C library has it by default, or one after the other (default: %(default)s)",
    )
    parser.add_argument("--floor", action="store_true", help="measure the machine's matrix products beforehand")
    parser.add_argument("--out", type=Path, help="a JSON file for the rows")
    return parser.parse_args(arguments)


def some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Reads names with commas in between."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name!r}: {nearest(name, known)}")
        return names

    return read


def main(arguments: Sequence[str]) -> int:
    """Prints a table for each case as soon as it is played."""
    given = parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    contestants = available(given.contestants)
    if len(contestants) < len(given.contestants):
        console.print("PyTorch is not installed: only this library's contestants run")
    rates = measured_rates() if given.floor else {}
    memories = MEMORY if given.memory == "both" else (given.memory,)
    everything: list[Row] = []
    for network, mode, dtype, memory in product(given.networks, given.modes, given.types, memories):
        case = Case(network, mode, dtype)
        played = play(case, contestants, seconds=given.seconds, memory=memory)
        rows = rows_of(case, played, memory=memory, rate=rates.get(dtype))
        console.print(table_of(case, rows))
        for row in rows:
            if row["failure"]:
                console.print(f"{row['contestant']}: {row['failure']}", highlight=False)
        everything += rows
        if given.out:
            write_atomically(given.out, json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
