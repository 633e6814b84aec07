"""Bars of what stacks of convolutions cost, each relative to the first of its comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from convnets.analysis.human_units import short_bytes, short_count
from convnets.analysis.small_filters import Cost
from convnets.plots import style

COLOURS = (style.MUTED, style.BLUE, style.GREEN)


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
