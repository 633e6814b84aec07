"""The lecture's picture of a transposed convolution: the matrix M_F, and the stretched map by the rotated filter."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from convnets.analysis.transposed_convolution import Entry, Example
from convnets.plots import style

# In inches.
MARGIN = 0.4
HEAD = 0.65
NARROWEST, WIDEST = 9.3, 11.2
NARROWEST_PANELS = 2.4, 0.9, 2.4
"""What titles and notes take."""
NARROWEST_GAP, WIDEST_GAP = 0.8, 1.6
LARGEST_CELL = 0.5
HIGHEST_MATRIX = 6.0

SMALLEST_LABEL = 5.0
"""Points; what would be smaller isn't written."""
MOST_TERMS = 9
"""Products that the line below the picture has room for."""

Colour = str | tuple[float, float, float]

ZERO: Colour = "#F0F2F5"
PALEST = 0.6
"""How far the colour of a filter's last column is on its way to white."""


def plot_transposed_convolution(shown: Example, path: Path) -> Figure:
    """M_F with each entry in the colour of the filter's entry that it is; below, the same as an ordinary convolution.

    What makes one pixel of the result is framed everywhere: the pixel itself, the window on the stretched map, and the
    pixel's column of M_F, which is its row of the transpose.
    """
    matrix, sides = shown.matrix, (len(shown.stretched), shown.kernel, shown.side)
    small = min(WIDEST / matrix.shape[1], HIGHEST_MATRIX / len(matrix), LARGEST_CELL)
    large = min((WIDEST - 2 * NARROWEST_GAP) / sum(sides), LARGEST_CELL)
    panels = [max(large * side, narrowest) for side, narrowest in zip(sides, NARROWEST_PANELS, strict=True)]
    inner = max(NARROWEST, small * matrix.shape[1], sum(panels) + 2 * NARROWEST_GAP)
    gap = min((inner - sum(panels)) / 2, WIDEST_GAP)
    upper, lower = small * len(matrix), large * max(sides)
    width, height = inner + 2 * MARGIN, upper + lower + 2 * HEAD + 3 * MARGIN
    figure = style.new_figure(width, height, constrained=False)
    extra = f" + {shown.output_padding}" if shown.output_padding else ""
    below = f", {shown.output_padding} more below, right" if extra else ""
    sizes = f"w = {shown.side}, f = {shown.kernel}, s = {shown.stride}, p = {shown.padding}"
    filter_colours, filter_names = _filter_colours(shown.kernel), _names("F", shown.kernel)
    axes = _panel(figure, MARGIN, lower + HEAD + 2.6 * MARGIN, matrix.shape, small)
    _fill(axes, matrix, filter_colours, filter_names, small)
    for line in range(shown.side, matrix.shape[1], shown.side):
        axes.axvline(line, color=style.MUTED, linewidth=0.8)
    for line in range(shown.map_side, len(matrix), shown.map_side):
        axes.axhline(line, color=style.MUTED, linewidth=0.8)
    row, column = shown.fullest
    _frame(axes, (0, row * shown.side + column), (len(matrix), 1))
    style.dress(
        axes,
        title=f"M_F, the convolution as a matrix of {len(matrix)} × {matrix.shape[1]}",
        note=f"{sizes}, w′ = ⌊(w − f + 2p) / s⌋ + 1 = {shown.map_side}; a row is one of w′² responses, a column one of "
        "w² pixels; framed: the pixel framed below",
        grid=False,
    )

    terms, square = shown.terms, (shown.kernel, shown.kernel)
    shades: list[Colour] = [_blend(style.BLUE, 1 - count / terms.max()) for count in range(terms.max() + 1)]
    stretched_note = f"zeros: s − 1 = {shown.stride - 1} between,\nf − p − 1 = {shown.zeros_around} around{below}"
    result_note = f"(w′ − 1) s − 2p + f{extra} = {shown.side}\nin a pixel: how many products it adds"
    grey: list[Colour] = [ZERO, *[style.MUTED] * shown.map_side**2]
    rotated = np.arange(shown.kernel**2, 0, -1).reshape(square)
    stretched_names, counts = _names(r"\tilde{S}", shown.map_side), list(map(str, range(len(shades))))
    title = f"Map of {shown.map_side} × {shown.map_side}, stretched"
    # Sign before the panel, title, note, cells with their colours and names, and what is framed.
    lower_panels: list[tuple[str, str, str, np.ndarray, Sequence[Colour], Sequence[str], Entry, Entry]] = [
        ("", title, stretched_note, shown.stretched, grey, stretched_names, shown.fullest, square),
        ("∗", "F rotated", "", rotated, filter_colours, filter_names, (0, 0), square),
        ("=", f"Result of {shown.side} × {shown.side}", result_note, terms, shades, counts, shown.fullest, (1, 1)),
    ]
    middle, left = 1.4 * MARGIN + lower / 2, MARGIN
    for (sign, title, note, cells, colours, names, first, shape), panel in zip(lower_panels, panels, strict=True):
        figure.text((left - gap / 2) / width, middle / height, sign, ha="center", va="center", fontsize=18)
        axes = _panel(figure, left, middle - large * len(cells) / 2, cells.shape, large)
        _fill(axes, cells, colours, names, large)
        _frame(axes, first, shape)
        style.dress(axes, title=title, note=note, grid=False)
        left += panel + gap
    place = MARGIN / width, 0.4 * MARGIN / height
    figure.text(*place, _written_out(shown), fontsize=style.TEXT_SIZE, color=style.INK, va="bottom")
    return style.save(figure, path)


def _written_out(shown: Example) -> str:
    """The framed pixel as the sum that it is."""
    products = [rf"F_{{{_place(f)}}}\,\tilde{{S}}_{{{_place(s)}}}" for f, s in shown.sum_of(shown.fullest)]
    rest = [r"\ldots"] if len(products) > MOST_TERMS else []
    total = r" + ".join([*products[:MOST_TERMS], *rest])
    return rf"framed:   $\tilde{{X}}_{{{_place(shown.fullest)}}} = {total}$"


def _panel(figure: Figure, left: float, bottom: float, shape: tuple[int, ...], cell: float) -> Axes:
    """Axes for so many rows and columns of square cells; inches."""
    width, height = figure.get_size_inches()
    rows, columns = shape
    axes = figure.add_axes((left / width, bottom / height, cell * columns / width, cell * rows / height))
    axes.set_axis_off()
    return axes


def _fill(axes: Axes, cells: np.ndarray, colours: Sequence[Colour], names: Sequence[str], cell: float) -> None:
    """Draws cells `[rows, columns]`, each by the colour and, where there is room, the name of its number."""
    rows, columns = cells.shape
    axes.imshow(np.array([to_rgb(colour) for colour in colours])[cells], extent=(0, columns, rows, 0))
    width = min(1.2, 3 * cell)
    axes.hlines(range(1, rows), 0, columns, color=style.PAPER, linewidth=width)
    axes.vlines(range(1, columns), 0, rows, color=style.PAPER, linewidth=width)
    points = min(72 * cell / 2.6, style.TEXT_SIZE)
    if points < SMALLEST_LABEL:
        return
    for (row, column), number in np.ndenumerate(cells):
        dark = np.dot(to_rgb(colours[number]), (0.3, 0.6, 0.1)) < 0.6
        colour = style.PAPER if dark else style.INK
        text = axes.text(column + 0.5, row + 0.5, names[number], color=colour, fontsize=points, ha="center")
        text.set_verticalalignment("center_baseline")


def _frame(axes: Axes, first: Entry, shape: tuple[int, ...]) -> None:
    """Around so many rows and columns from the first cell."""
    rows, columns = shape
    # A white rim, to be seen on dark cells too.
    rim = [withStroke(linewidth=4.2, foreground=style.PAPER)]
    frame = Rectangle(first[::-1], columns, rows, fill=False, edgecolor=style.INK, linewidth=2.2, zorder=3)
    frame.set(clip_on=False, path_effects=rim)
    axes.add_patch(frame)


def _names(letter: str, side: int) -> list[str]:
    """What is written for a zero, and for the entries of a square, row by row."""
    return ["", *(rf"${letter}_{{{_place(divmod(i, side))}}}$" for i in range(side**2))]


def _place(entry: Entry) -> str:
    """Row and column from 1, as in F_21; apart where they may have two digits."""
    row, column = entry[0] + 1, entry[1] + 1
    return f"{row}{column}" if max(row, column) < 10 else f"{row},{column}"


def _filter_colours(side: int) -> list[Colour]:
    """Of a zero, then a hue for each row of the filter, paler from column to column."""
    return [ZERO] + [
        _blend(style.PALETTE[row % len(style.PALETTE)], PALEST * column / side)
        for row in range(side)
        for column in range(side)
    ]


def _blend(colour: str, white: float) -> tuple[float, float, float]:
    """On the way to white, 0 to 1."""
    red, green, blue = (part + (1 - part) * white for part in to_rgb(colour))
    return red, green, blue
