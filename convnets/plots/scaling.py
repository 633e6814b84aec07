"""Efficiency against the number of devices: a column for each machine, weak scaling above and strong scaling below."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, PercentFormatter

from convnets.analysis.interconnects import Machine
from convnets.analysis.published import family_of, printed_name
from convnets.analysis.scaling import Point, Work
from convnets.plots import style

Curves = Mapping[str, Mapping[Work, Sequence[Point]]]
"""Points by machine and network."""

Dashes = tuple[float, Sequence[float]]

APART: Dashes = (0, (4, 1.5))
"""Of the lines of networks whose batch norms are each device's own; the others are solid."""


def plot_scaling(
    machines: Mapping[str, Machine],
    weak: Curves,
    strong: Curves,
    path: Path,
    *,
    batch: int,
    global_batch: int,
    note: str,
) -> Figure:
    """Bands of efficiency from no overlap of computing and summing to all that there can be.

    Args:
      weak, strong: the points of the same machines and networks.
      batch: images of a device in weak scaling.
      global_batch: images of all devices in strong scaling.
      note: what computing is taken to reach.
    """
    figure = style.new_figure(0.9 + 3.6 * len(machines), 7.6)
    grid = figure.subplots(2, len(machines), squeeze=False, sharey=True)
    rows = ((weak, f"{batch} images a device"), (strong, f"{global_batch:,} images in all"))
    for (curves, size), axes_of_row in zip(rows, grid, strict=True):
        for (name, machine), axes in zip(machines.items(), axes_of_row, strict=True):
            title, _, links = machine.title.partition(": ")
            first = axes is axes_of_row[0]
            style.dress(axes, title=title, note=f"{links}\n{size}", x="devices", y="efficiency" if first else "")
            _draw(axes, curves[name])
    handles = [
        Line2D([], [], color=_colour(work), linestyle=_dashes(work), linewidth=2.2, label=_label(work))
        for work in next(iter(weak.values()))
    ]
    style.legend_below(figure, handles)
    said = f"line: gradients summed after the backward pass; band: up to all of it beside\ncomputing: {note}"
    figure.suptitle(style.literal(said), fontsize=style.SMALL_SIZE, color=style.MUTED, x=0.01, ha="left")
    return style.save(figure, path)


def _draw(axes: Axes, curves: Mapping[Work, Sequence[Point]]) -> None:
    for work, points in curves.items():
        colour, dashes = _colour(work), _dashes(work)
        devices = [point.devices for point in points]
        low = [point.time.efficiency_without_overlap for point in points]
        high = [point.time.efficiency_with_overlap for point in points]
        axes.fill_between(devices, low, high, color=colour, alpha=0.14, linewidth=0)
        axes.plot(devices, low, color=colour, linestyle=dashes, linewidth=2.2)
        axes.plot(devices, high, color=colour, linestyle=dashes, linewidth=0.9)
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1.03)
    axes.xaxis.set_major_locator(FixedLocator([4**power for power in range(6)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _colour(work: Work) -> str:
    return style.FAMILIES.get(family_of(work.name), style.MUTED)


def _dashes(work: Work) -> Dashes:
    return APART if work.norms_apart else (0, ())


def _label(work: Work) -> str:
    return printed_name(work.name) + (", norms of each device" if work.norms_apart else "")
