"""Pictures of a sweep: the best figure so far, what decides it, and every trial as a line through its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from convnets.plots import style

WORST_TO_BEST = LinearSegmentedColormap.from_list("worst_to_best", ["#C3CCD5", style.BLUE])


def plot_best_so_far(finished: Sequence[tuple[int, float, bool]], metric: str, higher: bool, path: Path) -> Figure:
    """The metric of each trial, and the best complete one up to it.

    Args:
      finished: number, metric and whether it was pruned, of each trial, in the order of their numbers.
    """
    note = f"validation {metric} of each trial; pruned ones that were worse stand on the edge"
    figure, axes = style.new_plot(7.5, 4.2, title="Best so far", note=note, x="trial", y=metric)
    complete = [(number, value) for number, value, pruned in finished if not pruned]
    pruned = [(number, value) for number, value, was_pruned in finished if was_pruned]
    if complete:
        numbers, values = map(np.asarray, zip(*complete, strict=True))
        best = np.maximum.accumulate(values) if higher else np.minimum.accumulate(values)
        axes.step(numbers, best, where="post", color=style.INK, linewidth=1.7)
        axes.plot(numbers, values, "o", color=style.BLUE, markersize=5)
        worst, span = (values.min(), np.ptp(values)) if higher else (values.max(), -np.ptp(values))
        edge = worst - 0.25 * (span or 0.1 * abs(worst))
        axes.set_ylim(**{"bottom" if higher else "top": edge})
        # How bad the worst ones were would leave no room for the others.
        pruned = [(number, max(value, edge) if higher else min(value, edge)) for number, value in pruned]
    if pruned:
        axes.plot(*zip(*pruned, strict=True), "x", color=style.VERMILION, markersize=5, clip_on=False)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    kinds = [(style.BLUE, "o", "complete"), *([(style.VERMILION, "x", "pruned")] if pruned else [])]
    marks = [Line2D([], [], color=colour, marker=mark, ls="", ms=5, label=name) for colour, mark, name in kinds]
    style.legend_below(figure, [Line2D([], [], color=style.INK, linewidth=1.7, label="best so far"), *marks])
    return style.save(figure, path)


def plot_importance(shares: Mapping[str, float], metric: str, path: Path) -> Figure:
    """A bar for each field, the largest share on top.

    Args:
      shares: in [0, 1], the largest first.
    """
    note = f"how the values of a field among the best tenth\nof the trials by {metric} differ from those among all"
    figure, axes = style.new_plot(7.5, 1.6 + 0.4 * len(shares), title="Importance", note=note, grid=False)
    style.draw_bars(axes, list(shares.values()), [f"{share:.2f}" for share in shares.values()], names=list(shares))
    axes.set_xlim(0, 1.1 * max(shares.values()))
    return style.save(figure, path)


@dataclass(frozen=True)
class Column:
    """A field of the trials, as an axis.

    Attributes:
      values: one for each trial.
      scale: "linear" or "log", of numbers; "named" for values that stand evenly spaced, each with its name.
    """

    name: str
    values: Sequence[Any]
    scale: str

    def places(self) -> np.ndarray:
        """Heights in [0, 1], `[trials]`."""
        if self.scale == "named":
            heights = {name: height for height, name in self.ticks()}
            return np.array([heights[str(value)] for value in self.values])
        return self._height(np.asarray(self.values, float))

    def ticks(self) -> list[tuple[float, str]]:
        """Heights in [0, 1], from the bottom, and what stands beside them."""
        if self.scale == "named":
            numbers = all(isinstance(value, int | float) for value in self.values)
            names = list(map(str, sorted(set(self.values)))) if numbers else list(dict.fromkeys(map(str, self.values)))
            return [(i / (len(names) - 1) if len(names) > 1 else 0.5, name) for i, name in enumerate(names)]
        low, high = float(min(self.values)), float(max(self.values))
        locator = LogLocator(subs=(1.0, 2.0, 5.0)) if self.scale == "log" else MaxNLocator(5)
        found = [tick for tick in locator.tick_values(low, high) if low <= tick <= high] if low < high else [low]
        found = found if len(found) > 1 else sorted({low, high})
        heights = self._height(np.asarray(found))
        return [(float(height), f"{tick:.4g}") for height, tick in zip(heights, found, strict=True)]

    def _height(self, numbers: np.ndarray) -> np.ndarray:
        scale = np.log if self.scale == "log" else np.asarray
        low, high = scale(np.array([min(self.values), max(self.values)], float))
        return (scale(numbers) - low) / (high - low) if high > low else np.full(len(numbers), 0.5)


def plot_parallel_coordinates(
    columns: Sequence[Column], metric: str, values: Sequence[float], higher: bool, path: Path
) -> Figure:
    """Each trial as a line through its fields to its metric, the better the darker.

    Args:
      columns: an axis each, from the left.
      values: the metric of each trial, the last axis.
    """
    axes_of = [*columns, Column(metric, values, "linear")]
    note = f"validation {metric} by the colour, the better the darker"
    figure, axes = style.new_plot(max(2.0 * len(axes_of), 6.0), 4.6, title="Trials", note=note, grid=False)
    heights = np.stack([column.places() for column in axes_of], axis=1)
    order = np.argsort(heights[:, -1] if higher else -heights[:, -1], kind="stable")
    rank = np.linspace(0, 1, len(order))
    lines = [np.column_stack([np.arange(len(axes_of)), heights[i]]) for i in order]
    axes.add_collection(LineCollection(lines, colors=WORST_TO_BEST(rank), linewidths=0.9 + 0.8 * rank))
    paper = {"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 0.6}
    for place, column in enumerate(axes_of):
        axes.axvline(place, color=style.MUTED, linewidth=0.8)
        for height, text in column.ticks():
            style.write(axes, style.shorten(text, 22), (place, height), (5, 0), zorder=3, bbox=paper)
    axes.set_xticks(range(len(axes_of)), [style.literal(column.name) for column in axes_of])
    axes.set(xlim=(-0.1, len(axes_of) - 0.6), ylim=(-0.05, 1.05), yticks=[])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return style.save(figure, path)
