"""`launch.py explain transposed-convolution`."""

from dataclasses import asdict

import numpy as np
from rich.table import Table

from convnets.analysis.transposed_convolution import Example, compare_forms, example
from convnets.cli.printing import new_table, picture_path
from convnets.cli.topics import Explanation, topics
from convnets.plots.transposed_convolution import plot_transposed_convolution

WIDEST_MATRIX = 25
"""Columns of a matrix that a terminal has room for."""


def transposed_convolution(
    *, kernel: int = 3, stride: int = 2, padding: int = 1, output_padding: int = -1, size: int = 5, out: str = ""
) -> Explanation:
    """The transpose of a convolution of --size pixels a side, by its matrix, with inserted zeros, and fast."""
    path = picture_path(out)
    shown = example(kernel, stride, padding, size, None if output_padding == -1 else output_padding)
    difference, largest = compare_forms(shown)
    tables = [_sizes(shown)]
    if shown.matrix.shape[1] <= WIDEST_MATRIX:
        tables.append(_matrix(shown))
    lines = [
        "w: of the convolution's input and the transpose's result; w': of the convolution's result and the transpose's "
        "input",
        f"the matrix, the inserted zeros and the layer's kernel agree: they differ by {difference:.1e} "
        f"at most, of numbers up to {largest:.1f} (float32)",
    ]
    if shown.terms.min() == 0:
        lines.append(
            f"{np.count_nonzero(shown.terms == 0)} pixels of the result are holes, out of the filter's reach: a layer "
            "refuses a stride larger than its filters"
        )
    if path:
        plot_transposed_convolution(shown, path)
        lines.append(f"picture: {path}")
    record = {
        **asdict(shown),
        "side": shown.side,
        "zeros_between": shown.stride - 1,
        "zeros_around": shown.zeros_around,
        "stretched_side": len(shown.stretched),
        "matrix": shown.matrix.tolist(),
        "terms": shown.terms.tolist(),
        "largest_difference": difference,
        "largest_entry": largest,
    }
    return Explanation(tables, lines, record)


topics.variant("transposed-convolution", transposed_convolution)


def _sizes(shown: Example) -> Table:
    title = f"Filter {shown.kernel} × {shown.kernel}, stride {shown.stride}, padding {shown.padding}, transposed"
    columns_of_table = ("", " ", "by the lecture")
    table = new_table(title, columns_of_table, left=columns_of_table)
    rows, columns = shown.matrix.shape
    stretched, terms = len(shown.stretched), shown.terms
    extra = " + output padding" if shown.output_padding else ""
    more = [("more below, right", str(shown.output_padding), "output padding")] if shown.output_padding else []
    for row in (
        ("map that it takes", f"{shown.map_side} × {shown.map_side}", "w' = (w - f + 2p) / s + 1, rounded down"),
        ("matrix M_F", f"{rows} × {columns}", "w'² × w², transposed: w² × w'²"),
        ("zeros between", str(shown.stride - 1), "s - 1"),
        ("zeros around", str(shown.zeros_around), "f - p - 1"),
        *more,
        ("stretched map", f"{stretched} × {stretched}", "w + f - 1"),
        ("result", f"{shown.side} × {shown.side}", f"w = (w' - 1) s - 2p + f{extra}"),
        ("products in a pixel", f"{terms.min()} to {terms.max()}", "where they differ, a chessboard may show"),
    ):
        table.add_row(*row)
    return table


def _matrix(shown: Example) -> Table:
    """M_F with the filter's entries by row and column: 21 is F_21."""
    table = new_table("M_F", [])
    table.box, table.show_header = None, False
    for row in shown.matrix:
        places = (divmod(int(number) - 1, shown.kernel) for number in row)
        names = (f"{place[0] + 1}{place[1] + 1}" for place in places)
        table.add_row(*(name if number else "·" for name, number in zip(names, row, strict=True)))
    return table
