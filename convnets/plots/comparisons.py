"""Networks side by side: the cost of stacks of convolutions, linear probes of stages, and efficiency over devices."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, PercentFormatter

from convnets.analysis.interconnects import Machine
from convnets.analysis.published import family_of, printed_name
from convnets.analysis.scaling import Point, Work
from convnets.analysis.small_filters import Cost
from convnets.analysis.summary_table import short_bytes, short_count
from convnets.plots import style

COLOURS = (style.MUTED, style.BLUE, style.GREEN)
"""Of the stacks of a comparison."""

LEVELS = ((0, (6, 2)), (0, (3, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (6, 2, 1, 2, 1, 2)))
"""Of the levels of trained networks, one for each colour."""

Curves = Mapping[str, Mapping[Work, Sequence[Point]]]
"""Points by machine and network."""

Dashes = tuple[float, Sequence[float]]

APART: Dashes = (0, (4, 1.5))
"""Of the lines of networks whose batch norms are each device's own; the others are solid."""


def plot_cost_bars(comparisons: Mapping[str, Sequence[Cost]], path: Path, *, note: str) -> Figure:
    """A panel for each comparison: parameters, multiply-adds, times (if measured) and activation memory.

    At the first option's bars stands what they are, at the others' how many times that.

    Args:
      comparisons: by their titles; of two or three options, the first being what the others are held against.
      note: a smaller line under the titles.
    """
    figure = style.new_figure(6.6 * len(comparisons), 5.2)
    grid = figure.subplots(1, len(comparisons), squeeze=False, sharex=True).ravel()
    for axes, (title, costs) in zip(grid, comparisons.items(), strict=True):
        quantities = _quantities(costs)
        style.dress(axes, title=title, note=note, grid=False)
        height = 0.78 / len(costs)
        for place, (cost, colour) in enumerate(zip(costs, COLOURS, strict=False)):
            lengths = [numbers[place] / numbers[0] for numbers, _ in quantities.values()]
            rows = [row + (place - (len(costs) - 1) / 2) * height for row in range(len(lengths))]
            bars = axes.barh(rows, lengths, height * 0.9, color=colour, label=_described(cost))
            absolute = [text for _, text in quantities.values()]
            labels = [f"× {length:.{2 if length >= 0.1 else 3}f}" for length in lengths] if place else absolute
            axes.bar_label(bars, labels, padding=4, fontsize=style.SMALL_SIZE, color=style.INK)
        axes.invert_yaxis()
        axes.set_yticks(range(len(quantities)), list(quantities), fontsize=style.TEXT_SIZE, color=style.INK)
        axes.tick_params(axis="y", length=0)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.margins(x=0.2)
        axes.legend(loc="upper left", bbox_to_anchor=(0, 0), **style.LEGEND | {"fontsize": style.TEXT_SIZE})
    return style.save(figure, path)


def _quantities(costs: Sequence[Cost]) -> dict[str, tuple[list[float], str]]:
    """The groups of bars: one number an option, and what the first of them is."""
    first = costs[0]
    quantities: dict[str, tuple[list[float], str]] = {
        "parameters": ([cost.parameters for cost in costs], f"{first.parameters:,}"),
        "multiply-adds": ([cost.multiply_adds for cost in costs], short_count(first.multiply_adds)),
    }
    for name in ("forward", "training"):
        medians = [timing.median for cost in costs if (timing := getattr(cost, name))]
        if medians:
            digits = 0 if medians[0] >= 0.1 else 1 if medians[0] >= 0.01 else 3
            quantities[f"time, {name}"] = (medians, f"{1000 * medians[0]:,.{digits}f} ms")
    quantities["activation memory"] = [cost.activation_bytes for cost in costs], short_bytes(first.activation_bytes)
    return quantities


def _described(cost: Cost) -> str:
    side, layers = cost.receptive_field, cost.nonlinearities
    return f"{cost.option.name}: sees {side} × {side}, {layers} non-linearit{'y' if layers == 1 else 'ies'}"


def plot_accuracy_by_depth(
    stages: Sequence[str],
    accuracies: Mapping[str, Sequence[float]],
    path: Path,
    *,
    trained: Mapping[str, float] | None = None,
    title: str,
    note: str,
) -> Figure:
    """A line of the linear classifiers' accuracy over the maps, and a level for each trained network.

    Args:
      stages: names of the maps, in the order that an image meets them.
      accuracies: by the name of a network, of its maps, in [0, 1].
      trained: by what was trained, the accuracy that it reached.

    Raises:
      ValueError: more lines and levels together than there are colours.
    """
    levels = dict(sorted((trained or {}).items(), key=lambda pair: -pair[1]))
    if len(accuracies) + len(levels) > len(style.PALETTE):
        raise ValueError(
            f"There are {len(accuracies)} probed and {len(levels)} trained networks, and colours for "
            f"{len(style.PALETTE)} together: draw fewer of them."
        )
    look = {"title": title, "note": note, "x": "linear classifier on the features of", "y": "accuracy (%)"}
    figure, axes = style.new_plot(max(6.5, 1.0 * len(stages) + 3.5), 4.6, **look)
    places = range(len(stages))
    for (name, values), colour in zip(accuracies.items(), style.PALETTE, strict=False):
        percent = [100 * value for value in values]
        axes.plot(places, percent, "o-", color=colour, linewidth=2, markersize=6, label=f"probes: {name}")
    for (name, value), colour, dash in zip(levels.items(), style.PALETTE[len(accuracies) :], LEVELS, strict=False):
        axes.axhline(100 * value, color=colour, linewidth=1.8, linestyle=dash, label=f"{name}: {value:.1%}")
    axes.set_xticks(list(places), list(stages), fontsize=style.SMALL_SIZE, color=style.INK)
    axes.margins(x=0.04, y=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), **style.LEGEND)
    return style.save(figure, path)


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
