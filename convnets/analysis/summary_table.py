"""A network's layers as a table on the terminal, as JSON and as CSV; large numbers as people read them."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convnets.analysis.summary import COUNTS, LayerRow, Summary, Total, group, total

COLUMNS = {
    130: (
        *("layer", "kind", "output", "parameters", "statistics", "multiply-adds", "activations"),
        *("receptive field", "stride", "offset"),
    ),
    96: ("layer", "kind", "output", "parameters", "mult-adds", "memory", "field/stride"),
    0: ("layer", "kind", "output", "parameters", "mult-adds", "field"),
}
"""What there is room for on a terminal at least so wide."""

PLACES = ("receptive_field", "stride", "offset")

UNITS = ("", " K", " M", " G", " T", " P")
UNITS_OF_MEMORY = (" B", " kB", " MB", " GB", " TB", " PB")

Line = tuple[dict[str, str], str]
"""The cells by the columns' names, and the style."""


def print_summary(summary: Summary, console: Console, title: str, depth: int = 0) -> None:
    """Prints the layers, their totals and the shares.

    Memory is that of the activations; fields are receptive fields in pixels, with their strides behind them (`19×19/4`)
    where there is no room for a column. A convolution that is called so goes by its module's name.

    Args:
      title: what stands above the table.
      depth: merges layers as `group` does; 0 shows each.
    """
    rows = _rows(summary, depth)
    names = next(names for width, names in COLUMNS.items() if console.width >= width)
    names = tuple(name for name in names if name != "statistics" or any(row.statistics for row in rows))
    table = Table(title=Text(title, "bold not italic"), title_justify="left", box=box.SIMPLE_HEAD, show_footer=True)
    table.pad_edge, table.padding = False, (0, 1, 0, 0)
    in_training = [row for row in rows if row.training_only]
    totals = {"layer": "total at inference" if in_training else "total"} | _numbers(total(summary))
    for name in names:
        if name in ("layer", "kind"):
            table.add_column(name, totals.get(name, ""), overflow="fold")
        else:
            table.add_column(name, totals.get(name, ""), justify="right", no_wrap=True)

    def add(cells: dict[str, str], style: str) -> None:
        table.add_row(*(cells.get(name, "") for name in names), style=style)

    for line in _lines(summary, [row for row in rows if not row.training_only]):
        add(*line)
    if in_training:
        table.add_section()
        add({"layer": "in training only"} | _numbers(total(summary, training_only=True)), "bold")
        for line in _lines(summary, in_training):
            add(*line)
    console.print(table)
    for sentence in share_lines(summary):
        console.print(sentence, highlight=False, soft_wrap=True, style="dim")


def shares(rows: Iterable[LayerRow]) -> dict[str, Any]:
    """The lecture's remarks on VGG as numbers, given a network's layers one by one.

    "Most memory is in early convolutional layers. Most parameters in the early fully connected layers." Parts of what
    inference uses, in [0, 1], or None where a network has no such layers. Early are the first half of the convolutions,
    rounded up, with the norms behind them.
    """
    layers = [row for row in rows if not row.training_only]
    whole = total(layers)
    convolutions = [i for i, row in enumerate(layers) if "convolution" in row.kind]
    early = (len(convolutions) + 1) // 2
    later = convolutions[early] if early < len(convolutions) else len(layers)
    activations = sum(row.activation_bytes for row in layers[:later] if "convolution" in row.kind or "norm" in row.kind)
    connected = [row for row in layers if row.kind == "fully connected"]

    def part_of_parameters(some: Sequence[LayerRow]) -> float | None:
        return sum(row.parameters for row in some) / whole.parameters if some and whole.parameters else None

    return {
        "convolutions": len(convolutions),
        "early_convolutions": early,
        "early_activations": activations / whole.activation_bytes if convolutions and whole.activation_bytes else None,
        "first_fully_connected": connected[0].path if connected else "",
        "first_fully_connected_parameters": part_of_parameters(connected[:1]),
        "fully_connected_parameters": part_of_parameters(connected),
    }


def share_lines(summary: Summary) -> list[str]:
    """The shares of a network in sentences."""
    found, lines = shares(summary), []
    count, early = found["convolutions"], found["early_convolutions"]
    if found["early_activations"] is not None:
        some = f"first {early} of" if early > 1 else "first of"
        where = "convolution" if count == 1 else f"{some} {count} convolutions"
        lines.append(f"{found['early_activations']:.1%} of the activations' memory is in the {where}.")
    first, every = found["first_fully_connected_parameters"], found["fully_connected_parameters"]
    if first is not None:
        rest = "fully connected layer."
        if first != every:
            rest = f"first fully connected layer, and {every:.1%} in all of them."
        lines.append(f"{first:.1%} of the parameters are in {found['first_fully_connected']}, the {rest}")
    return lines


def _lines(summary: Summary, rows: Sequence[LayerRow]) -> Iterator[Line]:
    """The rows; those of a module of several levels are set in under a line of its own."""
    for first, members in groupby(rows, lambda row: row.path.split("/")[0]):
        family = list(members)
        if all(row.path.count("/") < 2 for row in family):
            yield from ((_cells(row, _label(row.path, row.kind) or "(network)"), "") for row in family)
            continue
        if family[0].path != first:
            yield _cells(summary.modules[first], first) if first in summary.modules else {"layer": first}, "bold"
        for row in family:
            if row.path == first:
                yield _cells(row, first), "bold"
            else:
                yield _cells(row, "  " + _label(row.path[len(first) + 1 :], row.kind)), ""


def _label(path: str, kind: str) -> str:
    """The path without a last name that the kind repeats."""
    return path.removesuffix("/" + kind.partition(" ")[0])


def _cells(row: LayerRow, label: str) -> dict[str, str]:
    cells = {"layer": label, "kind": row.kind, "output": "×".join(map(str, row.output_shape[1:]))} | _numbers(row)
    field = stride = offset = both = "?"
    if row.receptive_field and row.stride and row.offset:
        field = "×".join(map(str, row.receptive_field))
        stride, offset = (
            str(down) if down == across else f"{down}×{across}" for down, across in (row.stride, row.offset)
        )
        both = f"{field}/{stride}"
    return cells | {"receptive field": field, "field": field, "stride": stride, "field/stride": both, "offset": offset}


def _numbers(counts: LayerRow | Total) -> dict[str, str]:
    products = short_count(counts.multiply_adds) if counts.multiply_adds else ""
    memory = short_bytes(counts.activation_bytes) if counts.activation_bytes else ""
    return {
        "parameters": f"{counts.parameters:,}" if counts.parameters else "",
        "statistics": f"{counts.statistics:,}" if counts.statistics else "",
        "multiply-adds": products,
        "mult-adds": products,
        "activations": memory,
        "memory": memory,
    }


def as_dict(summary: Summary, depth: int = 0) -> dict[str, Any]:
    """`layers` (the fields of `LayerRow`), `totals` and `shares`, for `json.dumps`.

    Args:
      depth: merges layers as `group` does; 0 gives each.
    """
    return {
        "layers": [asdict(row) for row in _rows(summary, depth)],
        "totals": asdict(total(summary)) | {"training_only": asdict(total(summary, training_only=True))},
        "shares": shares(summary),
    }


def as_csv(summary: Summary, depth: int = 0) -> str:
    """A line for each layer under a line of names.

    Shapes are written as `1x224x224x64`; receptive fields, strides and offsets have a column for each direction, which
    is empty if they are unknown.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    directions = [f"{place}_{direction}" for place in PLACES for direction in ("vertical", "horizontal")]
    writer.writerow(["path", "kind", "output_shape", *COUNTS, *directions, "training_only"])
    for row in _rows(summary, depth):
        places = [number for place in PLACES for number in getattr(row, place) or ("", "")]
        counts = [getattr(row, count) for count in COUNTS]
        shape = "x".join(map(str, row.output_shape))
        writer.writerow([row.path, row.kind, shape, *counts, *places, str(row.training_only).lower()])
    return text.getvalue()


def _rows(summary: Summary, depth: int) -> list[LayerRow]:
    return group(summary, depth) if depth else list(summary)


def short_count(number: int) -> str:
    """A count in K (10^3), M, G, T or P.

    >>> short_count(15_470_264_320), short_count(999_999), short_count(84)
    ('15.5 G', '1.00 M', '84')
    """
    return _short(number, UNITS)


def short_bytes(number: int) -> str:
    """Memory in kB (10^3 bytes), MB, GB, TB or PB.

    >>> short_bytes(12_845_056)
    '12.8 MB'
    """
    return _short(number, UNITS_OF_MEMORY)


def _short(number: float, units: tuple[str, ...]) -> str:
    power = 0
    while float(f"{number:.3g}") >= 1000 and power < len(units) - 1:
        number, power = number / 1000, power + 1
    digits = 0 if power == 0 else max(0, 3 - len(str(int(float(f"{number:.3g}")))))
    return f"{number:.{digits}f}{units[power]}"
