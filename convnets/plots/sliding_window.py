"""What a classifier says at every place of a larger image, by a sliding window and by one pass, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from convnets.evaluation.views import Size
from convnets.plots import style

COLOURS = (*style.PALETTE, *(to_hex(colormaps["tab10"](place)) for place in (9, 3, 8, 5, 6)))
"""Of classes: each its own if there are so few, else those that are said most often."""
OTHERS = "#9AA5B1"
OPACITY = 0.65
DARKEST = 0.55
"""What black is under the colours, where white is 1."""

PANEL = 3.5
GAP = 0.25
HEAD = 1.0
FOOT = 0.7
"""Inches."""


@dataclass(frozen=True)
class Shown:
    """What is drawn.

    Attributes:
      image: uint8 `[H, W, 1 or 3]`.
      windows, one_pass: likeliest classes at the places of the windows, int `[rows, columns]`.
      classes: their names.
      window: height and width, in pixels.
      stride: from a window to the next one, down and to the right.
    """

    image: np.ndarray
    windows: np.ndarray
    one_pass: np.ndarray
    classes: Sequence[str]
    window: Size
    stride: Size


def plot_sliding_window(shown: Shown, title: str, headings: Sequence[tuple[str, str]], path: Path) -> Figure:
    """The image with the first two windows framed; beside it, the class of each window as a cell at its centre.

    Cells of the one pass that differ from those of the windows are crossed out.

    Args:
      headings: title and note of the image, the windows and the one pass.
    """
    height, width = shown.image.shape[:2]
    panel = PANEL, PANEL * height / width
    if height > width:
        panel = PANEL * width / height, PANEL
    # Notes and the legend need their room beside a narrow image too.
    spacing = max(panel[0], 0.7 * PANEL) + GAP
    size = 3 * spacing + GAP, panel[1] + HEAD + FOOT
    figure = style.new_figure(*size, constrained=False)
    heading = figure.suptitle(style.literal(title), x=GAP / size[0], y=1 - 0.27 / size[1], ha="left", va="center")
    heading.set(fontsize=style.TITLE_SIZE + 1, fontweight="bold", color=style.INK)
    colours = colours_of(np.stack([shown.windows, shown.one_pass]), len(shown.classes))
    for place, ((head, note), said) in enumerate(zip(headings, (None, shown.windows, shown.one_pass), strict=True)):
        left = GAP + place * spacing
        axes = figure.add_axes((left / size[0], FOOT / size[1], panel[0] / size[0], panel[1] / size[1]))
        style.dress(axes, title=head, note=note, grid=False)
        axes.set_axis_off()
        axes.imshow(_picture(shown, said, colours), interpolation="nearest", extent=(0, width, height, 0))
        if said is None:
            _draw_windows(shown, axes)
        else:
            _cross_out(shown, said != shown.windows, axes)
    style.legend_below(figure, _legend(shown, colours), columns=6, size=style.SMALL_SIZE)
    return style.save(figure, path)


def colours_of(said: np.ndarray, classes: int) -> dict[int, str]:
    """A colour for each of the classes that are said: its own if there are few, else only for those said most often."""
    found, counts = np.unique(said, return_counts=True)
    if classes <= len(COLOURS):
        return {int(label): COLOURS[label] for label in found}
    frequent = found[np.argsort(-counts, kind="stable")][: len(COLOURS)]
    return dict(zip(sorted(int(label) for label in frequent), COLOURS, strict=False))


def cells(shown: Shown, row: int, column: int) -> tuple[float, float]:
    """Top and left of the cell of a window: as large as the stride, around the window's centre, in pixels."""
    top, left = (
        place * step + (part - step) / 2
        for place, step, part in zip((row, column), shown.stride, shown.window, strict=True)
    )
    return top, left


def _picture(shown: Shown, said: np.ndarray | None, colours: dict[int, str]) -> np.ndarray:
    """The image in RGB, with the cells where there are any."""
    # In halves of pixels, between which the centre of a window may lie.
    picture = np.broadcast_to(shown.image / 255.0, (*shown.image.shape[:2], 3)).repeat(2, axis=0).repeat(2, axis=1)
    if said is None:
        return picture
    # Paled, so that a colour is the same in shadow and light.
    grey = DARKEST + (1 - DARKEST) * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    picture = grey.copy()
    for row, column in np.ndindex(*said.shape):
        top, left = (round(2 * edge) for edge in cells(shown, row, column))
        cell = slice(top, top + 2 * shown.stride[0]), slice(left, left + 2 * shown.stride[1])
        colour = np.array(to_rgb(colours.get(int(said[row, column]), OTHERS)))
        picture[cell] = (1 - OPACITY) * grey[cell] + OPACITY * colour
    return picture


def _draw_windows(shown: Shown, axes: Axes) -> None:
    """The first window and its neighbour."""
    height, width = shown.window
    for column in range(min(2, shown.windows.shape[1]))[::-1]:
        corner, line = (column * shown.stride[1], 0), "-" if column == 0 else "--"
        frame = Rectangle(corner, width, height, fill=False, linewidth=2.2, linestyle=line, edgecolor=style.ORANGE)
        frame.set_clip_on(False)
        axes.add_patch(frame)


def _cross_out(shown: Shown, differs: np.ndarray, axes: Axes) -> None:
    places = [cells(shown, row, column) for row, column in np.argwhere(differs)]
    if places:
        tops, lefts = np.array(places).T
        # Of half the cell, in points.
        panel = axes.get_window_extent().width * 72 / style.DPI
        side = panel * shown.stride[1] / shown.image.shape[1] / 2
        centres = lefts + shown.stride[1] / 2, tops + shown.stride[0] / 2
        line = max(0.8, min(side / 4, 2.0))
        axes.scatter(*centres, marker="x", s=side**2, linewidths=line, color=style.INK)


def _legend(shown: Shown, colours: dict[int, str]) -> list[Patch]:
    said = set(np.unique([shown.windows, shown.one_pass]).tolist())
    handles = [
        Patch(color=colour, alpha=OPACITY, label=style.label(shown.classes[label], 22))
        for label, colour in colours.items()
    ]
    rest = len(said) - len(colours)
    if rest:
        name = f"{rest} other classes" if rest > 1 else "another class"
        handles.append(Patch(color=OTHERS, alpha=OPACITY, label=name))
    return handles
