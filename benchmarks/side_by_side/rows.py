"""What a match found, as rows of a table."""

import math
from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmarks.measuring import Row
from benchmarks.multiply_adds import of_an_image
from benchmarks.side_by_side.cases import Case
from benchmarks.side_by_side.match import Played
from convnets import models

HEADINGS = {
    "contestant": "",
    "ms_a_step": "ms a step",
    "images_a_second": "images/s",
    "medians_over_eager": "medians\nover eager",
    "minima_over_eager": "minima\nover eager",
    "medians_over_torch.compile": "medians\nover torch.compile",
    "minima_over_torch.compile": "minima\nover torch.compile",
    "gigaflops": "Gflop/s",
    "share_of_matrix_product": "of matrix product",
    "first_call_s": "first call s",
    "peak_mb": "peak MB",
    "rounds": "rounds",
    "cores_of_others": "others' cores",
}
"""Columns that the table of one case shows, and what stands above them."""


def rows_of(case: Case, played: Mapping[str, Played], *, memory: str, rate: float | None) -> list[Row]:
    """A row for each contestant.

    Args:
      memory: what became of memory that the processes freed: "kept" or "returned".
      rate: of the machine's best matrix products of this type, in operations a second; None leaves the share out.
    """
    rows: list[Row] = []
    operations = operations_of(case)
    for name, one in played.items():
        there = not one.failure
        speed = case.sizes.batch / one.timing.median if there else None
        row: Row = {
            "network": case.network,
            "batch": case.sizes.batch,
            "mode": case.mode,
            "dtype": case.dtype,
            "memory": memory,
            "contestant": name,
            "ms_a_step": one.timing.median * 1e3 if there else None,
            "images_a_second": speed,
        }
        for other in ("eager", "torch.compile"):
            opponent = played.get(other)
            ratios = one.timing.over(opponent.timing) if there and opponent and not opponent.failure else {}
            row[f"medians_over_{other}"] = ratios.get("ratio_of_medians")
            row[f"minima_over_{other}"] = ratios.get("ratio_of_minima")
        row["gigaflops"] = operations * speed / 1e9 if speed else None
        row["share_of_matrix_product"] = operations * speed / rate if speed and rate else None
        row["first_call_s"] = one.timing.first if there else None
        row["peak_mb"] = round(one.peak / 2**20) if there else None
        row["rounds"] = len(one.timing.slices)
        row["cores_of_others"] = one.cores_of_others if math.isfinite(one.cores_of_others) else None
        row["failure"] = one.failure
        rows.append(row)
    return rows


def operations_of(case: Case) -> int:
    """Multiplications and additions for one image, without GoogLeNet's auxiliary classifiers."""
    inference, training = of_an_image(models.create(case.network, case.sizes.classes), case.sizes.image)
    return 2 * (training if case.mode == "training" else inference)


def table_of(case: Case, rows: Sequence[Row]) -> Table:
    """One case as a table, with the columns that have something to say."""
    table = Table(title=f"{case}, memory {rows[0]['memory']}", title_justify="left", title_style="bold")
    columns = [column for column in HEADINGS if any(row[column] is not None for row in rows)]
    for column in columns:
        table.add_column(HEADINGS[column], justify="left" if column == "contestant" else "right")
    for row in rows:
        cells = {column: text_of(row[column]) for column in columns}
        table.add_row(*(cells | {"ms_a_step": "failed"} if row["failure"] else cells).values())
    return table


def text_of(value: str | int | float | None) -> str:
    """Of a cell: three digits or more."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
