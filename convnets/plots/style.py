"""The one look of all pictures: colours, sizes, how an axis is dressed, and how a finished file reaches the
disk.

Figures are made through matplotlib's object interface, never through pyplot: nothing is registered globally,
so it works without a display and from any thread, and a forgotten figure is garbage like any other object.
For the same reason nothing here touches `rcParams`: every size and colour is passed where an artist is made.
"""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

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

TITLE_SIZE = 12.0
TEXT_SIZE = 10.0
SMALL_SIZE = 9.0


def new_figure(width: float, height: float, *, constrained: bool = True) -> Figure:
    """An empty white figure of `width` x `height` inches at `DPI`, drawn by Agg.

    `constrained=False` switches the automatic layout off, for figures that place everything by hand.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.03) if constrained else None
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, *, title: str = "", note: str = "", x: str = "", y: str = "", grid: bool = True) -> None:
    """Gives `axes` the shared look.

    Args:
      axes: where a plot was or will be drawn.
      title: bold, left, above the plot.
      note: muted small line or lines between the title and the plot; lines may be empty, to align with a
        neighbour.
      x, y: axis labels.
      grid: whether to draw faint grid lines behind the data.
    """
    lines = note.count("\n") + 1 if note else 0
    if title:
        pad = 7.0 + 12.5 * lines
        axes.set_title(literal(title), loc="left", fontsize=TITLE_SIZE, fontweight="bold", color=INK, pad=pad)
    if note:
        axes.annotate(
            literal(note),
            (0.0, 1.0),
            xycoords="axes fraction",
            xytext=(0, 6),
            textcoords="offset points",
            fontsize=SMALL_SIZE,
            color=MUTED,
            ha="left",
            va="bottom",
            annotation_clip=False,
            linespacing=1.2,
        )
    axes.set_xlabel(x, fontsize=TEXT_SIZE, color=INK)
    axes.set_ylabel(y, fontsize=TEXT_SIZE, color=INK)
    axes.tick_params(which="both", labelsize=SMALL_SIZE, colors=MUTED, labelcolor=INK, length=3, width=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, which="major", color=GRID, linewidth=0.8)


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """One line of labels under all plots of a figure; nothing where there are no handles."""
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=len(handles),
            frameon=False,
            fontsize=TEXT_SIZE,
            labelcolor=INK,
        )


def message_figure(title: str, text: str = "", *, width: float = 7.0, height: float = 2.2) -> Figure:
    """A figure that says something instead of showing data, for when there is no data to show."""
    figure = new_figure(width, height, constrained=False)
    middle = 0.58 if text else 0.5
    figure.text(0.5, middle, literal(title), ha="center", va="center", fontsize=14, fontweight="bold", color=INK)
    figure.text(0.5, 0.36, literal(text), ha="center", va="center", fontsize=TEXT_SIZE, color=MUTED)
    return figure


def literal(text: str) -> str:
    """`text` so that matplotlib prints it as it is: a pair of dollars in a name would start a formula."""
    return text.replace("$", r"\$")


def shorten(text: str, characters: int) -> str:
    """`text`, cut to at most `characters` with an ellipsis where it is longer."""
    return text if len(text) <= characters else text[: max(characters - 1, 0)].rstrip() + "…"


def save(figure: Figure, path: Path) -> None:
    """Writes `figure` as a PNG at `DPI`; the same figure gives the same bytes (no date or software in it).

    The parent folder is made if it is missing; the file is either the old one or the complete new one.

    Raises:
      ValueError: `path` doesn't end in `.png`.
    """
    if path.suffix.lower() != ".png":
        raise ValueError(f"Pictures are saved as PNG, but the path is {str(path)!r}; let it end in '.png'.")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})
    write_atomically(path, png.getvalue())
