"""Accuracy against operations: the lecture's "Accuracy on ImageNet Vs network size" (after Canziani, Paszke and
Culurciello, "An Analysis of Deep Neural Network Models for Practical Applications", 2016).

One blob a network, its area in proportion to its parameters. Runs of one's own stand in panels beside, one a data set:
accuracies on different data sets don't compare.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from convnets.analysis.network_costs import NetworkCost
from convnets.analysis.published import FAMILIES, PUBLISHED, TORCHVISION, family_of, printed_family, printed_name
from convnets.analysis.summary_table import short_count
from convnets.plots import style

LARGEST_BLOB, LARGEST_BLOB_OF_RUNS = 47.0, 30.0
"""Points across: of the largest network of a panel. Runs often have one size and lie close together."""

GAP = 3.0
"""Pixels between a label and its blob, and between two labels."""

STEPS = 12
"""How many distances from its blob a label tries before it is left out."""

DIRECTIONS = np.array([(0, 1), (1, 0), (-1, 0), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1), (2, 1), (-2, 1), (2, -1)])
"""From a blob to its label, the best ones first where nothing else tells them apart."""

LEADER = 0.9
"""Lines of text between a label and its blob from which on a thin line joins them."""


@dataclass(frozen=True)
class Point:
    """A network and what it reached.

    Attributes:
      label: what is written beside it.
      family: of networks; gives the colour.
      multiply_adds: of a forward pass of one image.
      parameters: how many.
      accuracy: top-1, in %.
    """

    label: str
    family: str
    multiply_adds: int
    parameters: int
    accuracy: float


def published_points(costs: Mapping[str, NetworkCost]) -> list[Point]:
    """The networks whose torchvision weights have a published one-crop accuracy on ImageNet.

    Args:
      costs: of networks by their names; those that aren't there have no point.
    """
    points = []
    for entry in PUBLISHED:
        if entry.source == TORCHVISION and entry.top1 is not None and (cost := costs.get(entry.network)):
            # All published weights of these depths are of version 1.5.
            label = printed_name(entry.network).removesuffix(" v1.5") + (" V2" if entry.weights == "V2" else "")
            points.append(Point(label, family_of(entry.network), cost.multiply_adds, cost.parameters, entry.top1))
    return points


def plot_accuracy_and_operations(
    published: Sequence[Point], path: Path, *, runs: Mapping[str, Sequence[Point]] | None = None
) -> Figure:
    """A panel of the published networks, and one for each data set that there are runs on.

    Args:
      published: accuracies of one centre crop on ImageNet's validation images.
      runs: by the name of their data set. Where they lie so close that a label finds no place, it is left out.
    """
    note = "top-1 of one centre crop, torchvision's weights; V2: the same network, trained by a later recipe"
    panels = [("Accuracy on ImageNet and operations, as published", note, published)]
    for data, points in (runs or {}).items():
        count = f"{len(points)} run" + ("s" if len(points) > 1 else "")
        panels.append((f"Accuracy on {data} and operations", f"top-1 of the test images; {count}", points))
    rows = math.ceil(len(panels) / 2)
    figure = style.new_figure(9.6 if len(panels) == 1 else 16.0, 6.6 * rows + 0.4)
    grid = figure.subplots(rows, min(len(panels), 2), squeeze=False).ravel()
    largest = [LARGEST_BLOB] + [LARGEST_BLOB_OF_RUNS] * (len(panels) - 1)
    scales = [_scale(points, across) for (_, _, points), across in zip(panels, largest, strict=True)]
    for axes, (title, note, points), scale in zip(grid, panels, scales, strict=False):
        style.dress(axes, title=title, note=note, x="multiply-adds of a forward pass", y="top-1 accuracy (%)")
        _draw_panel(axes, points, scale)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    families = {point.family for _, _, points in panels for point in points}
    order = [family for family in FAMILIES if family in families] + sorted(families - FAMILIES.keys())
    dots: dict[str, Any] = {"marker": "o", "markersize": 8, "linewidth": 0}
    colours = {family: style.FAMILIES.get(family, style.MUTED) for family in order}
    names = [Line2D([], [], color=colour, label=printed_family(name), **dots) for name, colour in colours.items()]
    style.legend_below(figure, names)
    # What stands where is known only now.
    figure.draw_without_rendering()
    for axes, (_, _, points), scale in zip(grid, panels, scales, strict=False):
        _write_labels(axes, points, scale)
    return style.save(figure, path)


def _scale(points: Sequence[Point], largest: float) -> float:
    """Points² of a blob for each parameter, if the largest is to be so many points across."""
    return largest**2 / max((point.parameters for point in points), default=1)


def _draw_panel(axes: Axes, points: Sequence[Point], scale: float) -> None:
    if not points:
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=style.MUTED)
        return
    for point in sorted(points, key=lambda point: -point.parameters):
        colour, area = _colour(point), point.parameters * scale
        place = ([point.multiply_adds], [point.accuracy])
        axes.scatter(*place, s=area, color=colour, alpha=0.28, linewidths=0)
        axes.scatter(*place, s=area, facecolors="none", edgecolors=colour, linewidths=1.0)
        axes.scatter(*place, s=5.0, color=colour, linewidths=0, zorder=3)
    costs = np.array([point.multiply_adds for point in points], float)
    accuracies = np.array([point.accuracy for point in points])
    axes.set_xscale("log")
    # Room for the blobs at both ends, and more where all networks cost about the same.
    ratio = float(costs.max() / costs.min())
    room = max(1.35, 3 / math.sqrt(ratio), ratio**0.12)
    axes.set_xlim(costs.min() / room, costs.max() * room)
    axes.xaxis.set_major_locator(LogLocator(10.0, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _round_count(round(value))))
    axes.xaxis.set_minor_formatter(NullFormatter())
    span = float(np.ptp(accuracies))
    room = max(0.14 * span, (1.0 - span) / 2)
    axes.set_ylim(float(accuracies.min()) - room, float(accuracies.max()) + room)
    _add_key(axes, max(point.parameters for point in points), scale)


def _add_key(axes: Axes, largest: int, scale: float) -> None:
    """Blobs of three round numbers of parameters, where there is room for them."""
    decade = 10 ** math.floor(math.log10(largest))
    top = next(step * decade for step in (5, 2, 1) if step * decade <= largest)
    blobs = [
        axes.scatter([], [], number * scale, color=style.MUTED, alpha=0.3, linewidths=0, label=_round_count(number))
        for number in (top // 10, top // 2, top)
    ]
    across = math.sqrt(top * scale) / style.SMALL_SIZE
    look = style.LEGEND | {"labelspacing": 1.0, "handlelength": across, "handleheight": across}
    key = axes.legend(handles=blobs, title="parameters", loc="best", ncols=3, title_fontsize=style.SMALL_SIZE, **look)
    key.get_title().set_color(style.INK)


def _round_count(number: int) -> str:
    """A round number in K, M or G: `50 M`."""
    digits, _, unit = short_count(number).partition(" ")
    return f"{float(digits):g} {unit}".strip()


def _write_labels(axes: Axes, points: Sequence[Point], scale: float) -> None:
    """Writes each label at the nearest free place around its blob, clear of other blobs where it can be.

    Of blobs that lie close together the highest is labelled first; what finds no place is left out.
    """
    figure, key = axes.get_figure(), axes.get_legend()
    assert isinstance(figure, Figure)
    if not points or key is None:
        return
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    bounds, taken = axes.get_window_extent(renderer), [key.get_window_extent(renderer)]
    points = sorted(points, key=lambda point: -point.accuracy)
    centres = axes.transData.transform([(point.multiply_adds, point.accuracy) for point in points])
    radii = [math.sqrt(point.parameters * scale) / 2 * figure.dpi / 72 for point in points]
    # The square that is as large as the circle.
    blobs = [
        Bbox([centre - 0.89 * radius, centre + 0.89 * radius]) for centre, radius in zip(centres, radii, strict=True)
    ]
    units = DIRECTIONS / np.hypot(*DIRECTIONS.T)[:, None]
    for point, centre, radius in zip(points, centres, radii, strict=True):
        look: dict[str, Any] = {"fontsize": style.SMALL_SIZE, "color": style.INK, "ha": "center", "va": "center"}
        text = axes.annotate(style.label(point.label, 28), (point.multiply_adds, point.accuracy), zorder=5, **look)
        size = np.array(text.get_window_extent(renderer).size)
        free: list[tuple[float, np.ndarray, Bbox]] = []
        for step in range(STEPS):
            reach = radius + GAP + 0.75 * size[1] * step
            for middle in centre + reach * units + np.sign(DIRECTIONS) * size / 2:
                box = Bbox([middle - size / 2, middle + size / 2])
                inside = np.all(box.min >= bounds.min) and np.all(box.max <= bounds.max)
                if inside and not box.count_overlaps(taken):
                    # A blob in the way is as bad as three steps away.
                    free.append((3 * box.count_overlaps(blobs) + step, middle, box))
        if not free:
            text.remove()
            continue
        _, middle, box = min(free, key=lambda each: each[0])
        taken.append(box.padded(GAP))
        to_data = axes.transData.inverted().transform
        text.set_position(tuple(to_data(middle)))
        end = np.clip(centre, box.min, box.max)
        distance = float(np.hypot(*(end - centre)))
        if distance - radius > LEADER * size[1]:
            line = to_data([centre + (end - centre) * radius / distance, end])
            axes.plot(*line.T, color=_colour(point), linewidth=0.7, zorder=2)


def _colour(point: Point) -> str:
    return style.FAMILIES.get(point.family, style.MUTED)
