"""Accuracy against operations: the lecture's "Accuracy on ImageNet Vs network size" (after Canziani, Paszke and
Culurciello, "An Analysis of Deep Neural Network Models for Practical Applications", 2016).

One blob a network, its area in proportion to its parameters. Runs of one's own stand in panels beside, one a data set:
accuracies on different data sets don't compare.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from convnets.analysis.families import PRINTED, colour_of, family_of, printed_family, printed_name
from convnets.analysis.network_costs import NetworkCost
from convnets.analysis.published import PUBLISHED, TORCHVISION, Published
from convnets.plots import style
from convnets.plots.blob_sizes import add_key, round_count
from convnets.plots.label_placement import place_labels

LARGEST_BLOB, LARGEST_BLOB_OF_RUNS = 47.0, 30.0
"""Points across: of the largest network of a panel. Runs often have one size and lie close together."""

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
    return [
        Point(_label(entry), family_of(entry.network), cost.multiply_adds, cost.parameters, entry.top1)
        for entry in PUBLISHED
        if entry.source == TORCHVISION and entry.top1 is not None and (cost := costs.get(entry.network))
    ]


def _label(entry: Published) -> str:
    # All published weights of these depths are of this version.
    name = printed_name(entry.network).removesuffix(" v1.5")
    return f"{name} {entry.weights}" if entry.weights == "V2" else name


def plot_accuracy_and_operations(
    published: Sequence[Point], path: Path, *, runs: Mapping[str, Sequence[Point]] | None = None
) -> None:
    """Draws `accuracy_and_operations_figure` and writes it to `path` (PNG, atomically)."""
    style.save(accuracy_and_operations_figure(published, runs=runs), path)


def accuracy_and_operations_figure(
    published: Sequence[Point], *, runs: Mapping[str, Sequence[Point]] | None = None
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
    _add_legend(figure, {point.family for _, _, points in panels for point in points})
    # What stands where is known only now.
    figure.draw_without_rendering()
    for axes, (_, _, points), scale in zip(grid, panels, scales, strict=False):
        _write_labels(axes, points, scale)
    return figure


def _scale(points: Sequence[Point], largest: float) -> float:
    """Points² of a blob for each parameter, if the largest is to be so many points across."""
    return largest**2 / max((point.parameters for point in points), default=1)


def _draw_panel(axes: Axes, points: Sequence[Point], scale: float) -> None:
    if not points:
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=style.MUTED)
        return
    for point in sorted(points, key=lambda point: -point.parameters):
        colour, area = colour_of(point.family), point.parameters * scale
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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: round_count(round(value))))
    axes.xaxis.set_minor_formatter(NullFormatter())
    span = float(np.ptp(accuracies))
    room = max(0.14 * span, (1.0 - span) / 2)
    axes.set_ylim(float(accuracies.min()) - room, float(accuracies.max()) + room)
    places = axes.transAxes.inverted().transform(axes.transData.transform(np.stack([costs, accuracies], axis=1)))
    add_key(axes, max(point.parameters for point in points), scale, places)


def _write_labels(axes: Axes, points: Sequence[Point], scale: float) -> None:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    pixels = figure.dpi / 72
    # Of blobs that lie close together the highest is labelled first.
    points = sorted(points, key=lambda point: -point.accuracy)
    if not points:
        return
    centres = axes.transData.transform([(point.multiply_adds, point.accuracy) for point in points])
    radii = np.array([math.sqrt(point.parameters * scale) / 2 * pixels for point in points])
    texts = [
        axes.annotate(
            style.literal(style.shorten(point.label, 28)),
            (point.multiply_adds, point.accuracy),
            fontsize=style.SMALL_SIZE,
            color=style.INK,
            ha="center",
            va="center",
            zorder=5,
        )
        for point in points
    ]
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [text.get_window_extent(renderer) for text in texts]
    sizes = np.array([(box.width, box.height) for box in boxes])
    bounds = axes.get_window_extent(renderer).extents
    obstacles = [box.get_window_extent(renderer).extents for box in axes.findobj(AnchoredOffsetbox)]
    places = place_labels(centres, radii, sizes, bounds, obstacles)
    for point, text, centre, radius, size, place in zip(points, texts, centres, radii, sizes, places, strict=True):
        if place is None:
            text.remove()
            continue
        text.set_position(tuple(axes.transData.inverted().transform(place)))
        end = np.clip(centre, place - size / 2, place + size / 2)
        distance = float(np.hypot(*(end - centre)))
        if distance - radius > LEADER * size[1]:
            line = axes.transData.inverted().transform([centre + (end - centre) * radius / distance, end])
            axes.plot(*line.T, color=colour_of(point.family), linewidth=0.7, zorder=2)


def _add_legend(figure: Figure, families: set[str]) -> None:
    order = [family for family in PRINTED if family in families] + sorted(families - PRINTED.keys())
    handles = [
        Line2D([], [], marker="o", markersize=8, linewidth=0, color=colour_of(family), label=printed_family(family))
        for family in order
    ]
    style.legend_below(figure, handles)
