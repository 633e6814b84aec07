"""The look of all pictures: colours, sizes, how an axis is dressed, and how a finished file reaches the disk.

Every function `plot_...` of this package draws a figure, writes it to the path it is given and returns it. Figures are
made through matplotlib's object interface, never through pyplot, and without `rcParams`: nothing is registered
globally, so it works without a display and from any thread.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from convnets.files import write_atomically

DPI = 130

# Okabe and Ito's palette ("Color Universal Design", 2008): told apart under every common colour blindness.
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#AA4499"
ORANGE = "#E69F00"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE)

INK = "#1F2933"
MUTED = "#616E7C"
GRID = "#E4E7EB"
PAPER = "#FFFFFF"

FAMILIES = {"lenet": ORANGE, "alexnet": VERMILION, "vgg": BLUE, "googlenet": GREEN, "resnet": PURPLE}
"""The colours of families of networks; others are `MUTED`."""

TITLE_SIZE = 12.0
TEXT_SIZE = 10.0
SMALL_SIZE = 9.0

LEGEND: dict[str, Any] = {"frameon": False, "fontsize": SMALL_SIZE, "labelcolor": INK}
"""The look of a legend within or beside a plot."""


def new_figure(width: float, height: float, *, constrained: bool = True) -> Figure:
    """An empty white figure of `width` x `height` inches at `DPI`, drawn by Agg.

    `constrained=False` switches the automatic layout off, for figures that place everything by hand.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.03) if constrained else None
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def new_plot(width: float, height: float, **look: Any) -> tuple[Figure, Axes]:
    """A figure of one plot, dressed; `look` are the options of `dress`."""
    figure = new_figure(width, height)
    axes = figure.subplots()
    dress(axes, **look)
    return figure, axes


def dress(axes: Axes, *, title: str = "", note: str = "", x: str = "", y: str = "", grid: bool = True) -> None:
    """Gives `axes` the shared look.

    Args:
      title: bold, left, above the plot.
      note: muted small line or lines between the title and the plot; lines may be empty, to align with a neighbour.
      x, y: axis labels.
      grid: whether to draw faint grid lines behind the data.
    """
    lines = note.count("\n") + 1 if note else 0
    if title:
        pad = 7.0 + 12.5 * lines
        axes.set_title(literal(title), loc="left", fontsize=TITLE_SIZE, fontweight="bold", color=INK, pad=pad)
    if note:
        write(axes, note, (0.0, 1.0), (0, 6), xycoords="axes fraction", color=MUTED, va="bottom", linespacing=1.2)
    axes.set_xlabel(x, fontsize=TEXT_SIZE, color=INK)
    axes.set_ylabel(y, fontsize=TEXT_SIZE, color=INK)
    axes.tick_params(which="both", labelsize=SMALL_SIZE, colors=MUTED, labelcolor=INK, length=3, width=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, which="major", color=GRID, linewidth=0.8)


def write(
    axes: Axes, text: str, place: tuple[float, float], shift: tuple[float, float] = (0, 0), **options: Any
) -> None:
    """Writes small text at a place of the data, shifted by so many points; `options` are those of `Axes.annotate`."""
    look: dict[str, Any] = {"fontsize": SMALL_SIZE, "color": INK, "ha": "left", "va": "center"}
    axes.annotate(literal(text), place, shift, textcoords="offset points", annotation_clip=False, **look | options)


def draw_bars(axes: Axes, lengths: ArrayLike, texts: Sequence[str], *, names: Sequence[str] | None = None) -> None:
    """Draws horizontal bars, the first on top, each with its text at its end: within where it is a long one.

    Args:
      lengths: in [0, 1]; NaN has no bar.
      names: of the bars, on the axis.
    """
    known = np.nan_to_num(np.asarray(lengths, float))
    axes.barh(np.arange(len(known)), known, height=0.72, color=BLUE)
    for row, (length, text) in enumerate(zip(known, texts, strict=True)):
        within = length > 0.6
        look: dict[str, Any] = {"ha": "right", "color": PAPER} if within else {}
        write(axes, text, (float(length), row), (-4 if within else 4, 0), **look)
    if names is not None:
        axes.set_yticks(range(len(names)), [literal(name) for name in names])
    axes.set(ylim=(len(known) - 0.5, -0.5), xticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def show(axes: Axes, image: np.ndarray, title: str = "", **options: Any) -> None:
    """Shows an image `[H, W, 1 or 3]` without axes under a small title; `options` are those of `Axes.set_title`."""
    axes.imshow(np.broadcast_to(image, (*image.shape[:2], 3)), interpolation="nearest")
    axes.set_axis_off()
    look: dict[str, Any] = {"fontsize": SMALL_SIZE, "color": MUTED, "pad": 3}
    axes.set_title(literal(title), **look | options)


def draw_box(axes: Axes, box: Sequence[float], colour: str, **options: Any) -> None:
    """Draws a box (y0, x0, y1, x1) in pixels on an image; nothing where it is empty."""
    y0, x0, y1, x1 = (float(edge) for edge in box)
    if y1 > y0 and x1 > x0:
        # Pixel (0, 0) is drawn around the point (0, 0).
        corner = x0 - 0.5, y0 - 0.5
        axes.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, edgecolor=colour, **options))


def legend_below(figure: Figure, handles: Sequence[Artist], *, columns: int = 0, size: float = TEXT_SIZE) -> None:
    """The labels under all plots of a figure, in one line or in so many columns; nothing where there are no handles."""
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center" if figure.get_layout_engine() else "lower center",
            ncols=min(columns or len(handles), len(handles)),
            frameon=False,
            fontsize=size,
            labelcolor=INK,
        )


def literal(text: str) -> str:
    """`text` so that matplotlib prints it as it is: a pair of dollars in a name would start a formula."""
    return text.replace("$", r"\$")


def shorten(text: str, characters: int) -> str:
    """`text`, cut to at most `characters` with an ellipsis where it is longer."""
    return text if len(text) <= characters else text[: max(characters - 1, 0)].rstrip() + "…"


def label(text: str, characters: int) -> str:
    """`text` shortened, and printed as it is."""
    return literal(shorten(text, characters))


def save(figure: Figure, path: Path) -> Figure:
    """Writes `figure` as a PNG at `DPI`, atomically, and returns it.

    The same figure gives the same bytes: there is no date and no software in them.
    """
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})
    write_atomically(path, png.getvalue())
    return figure
