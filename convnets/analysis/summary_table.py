"""A network's layers as a table on the terminal, as JSON and as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convnets.analysis.human_units import short_bytes, short_count
from convnets.analysis.layer_row import COUNTS, LayerRow, Total, shares, total
from convnets.analysis.summary import Summary, group

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
    totals = _of_total("total at inference" if in_training else "total", total(summary))
    for name in names:
        if name in ("layer", "kind"):
            table.add_column(name, totals.get(name, ""), overflow="fold")
        else:
            table.add_column(name, totals.get(name, ""), justify="right", no_wrap=True)
    lines = list(_lines(summary, [row for row in rows if not row.training_only]))
    if in_training:
        lines.append((_of_total("in training only", total(summary, training_only=True)), "bold"))
        lines += _lines(summary, in_training)
    for cells, style in lines:
        if cells["layer"] == "in training only":
            table.add_section()
        table.add_row(*(cells.get(name, "") for name in names), style=style)
    console.print(table)
    for line in share_lines(summary):
        console.print(line, highlight=False, soft_wrap=True, style="dim")


def share_lines(summary: Summary) -> list[str]:
    """The shares of a network in sentences."""
    found, lines = shares(summary), []
    if found.early_activations is not None:
        early = f"the first {found.early_convolutions} of" if found.early_convolutions > 1 else "the first of"
        early = "the" if found.convolutions == 1 else f"{early} {found.convolutions}"
        noun = "convolution" if found.convolutions == 1 else "convolutions"
        lines.append(f"{found.early_activations:.1%} of the activations' memory is in {early} {noun}.")
    first, every = found.first_fully_connected_parameters, found.fully_connected_parameters
    if first is not None and first == every:
        lines.append(f"{first:.1%} of the parameters are in {found.first_fully_connected}, the fully connected layer.")
    elif first is not None:
        lines.append(
            f"{first:.1%} of the parameters are in {found.first_fully_connected}, the first fully connected layer, and "
            f"{every:.1%} in all of them."
        )
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
    field, stride, offset = "?", "?", "?"
    if row.receptive_field and row.stride and row.offset:
        field, stride, offset = "×".join(map(str, row.receptive_field)), _pair(row.stride), _pair(row.offset)
    both = f"{field}/{stride}" if row.stride else "?"
    return cells | {"receptive field": field, "field": field, "stride": stride, "field/stride": both, "offset": offset}


def _of_total(label: str, whole: Total) -> dict[str, str]:
    return {"layer": label} | _numbers(whole)


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


def _pair(numbers: tuple[int, int]) -> str:
    return str(numbers[0]) if numbers[0] == numbers[1] else "×".join(map(str, numbers))


def as_dict(
    summary: Summary, *, network: str, image_shape: Sequence[int], batch: int, dtype: str, depth: int = 0
) -> dict[str, Any]:
    """All that is known of a network, for `json.dumps`.

    Args:
      network: its name.
      image_shape: `(H, W, C)` of one image.
      batch: images that multiply-adds and activations are of.
      dtype: of the computation.
      depth: merges layers as `group` does; 0 gives each.

    Returns:
      the arguments, `layers` (the fields of `LayerRow`), `totals` and `shares`.
    """
    return {
        "network": network,
        "image_shape": list(image_shape),
        "batch": batch,
        "dtype": dtype,
        "layers": [asdict(row) for row in _rows(summary, depth)],
        "totals": asdict(total(summary)) | {"training_only": asdict(total(summary, training_only=True))},
        "shares": asdict(shares(summary)),
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
