"""The training and validation curves of several experiments in one plot, each over one or more seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from convnets.plots import style
from convnets.plots.learning_curves import Curve, curve_of, error_title, lines_of, moving_average

COLOURS = (style.INK, *style.PALETTE)
MOST = len(COLOURS)
TRAINING = (0, (1.2, 1.2))
PARTS = 2
"""Curves start high: the vertical axis ends at so many times the median of all, or above where the highest ends."""


@dataclass(frozen=True)
class Compared:
    """An experiment: what it is called, and the lines of `metrics.jsonl` of each of its seeds."""

    name: str
    seeds: Sequence[Sequence[Mapping[str, Any]]]

    def curves(self, split: str, figure: str) -> list[Curve]:
        """Of each seed that has it; training figures smoothed."""
        found = [curve_of(lines_of(records, split), figure) for records in self.seeds]
        if split == "train":
            found = [Curve(curve.epochs, moving_average(curve.values)) for curve in found]
        return [curve for curve in found if len(curve.epochs)]


def plot_compared_runs(experiments: Sequence[Compared], metric: str, path: Path) -> Figure:
    """Loss and error over epochs: validation as lines, training dotted, the mean of the seeds with their range.

    Args:
      metric: a fraction in [0, 1], higher is better, whose error is drawn.

    Raises:
      ValueError: more experiments than there are colours.
    """
    if len(experiments) > MOST:
        raise ValueError(f"At most {MOST} experiments fit one plot, but {len(experiments)} were given.")
    figure = style.new_figure(11.5, 4.8)
    losses, errors = figure.subplots(1, 2)
    style.dress(losses, title="Loss", note="validation: line; training: dotted", x="epoch")
    style.dress(errors, title=error_title(metric), note="mean of the seeds, and their range", x="epoch")
    for colour, experiment in zip(COLOURS, experiments, strict=False):
        for split in ("train", "validation"):
            _draw(losses, experiment.curves(split, "loss"), split, colour)
            _draw(errors, [curve.error() for curve in experiment.curves(split, metric)], split, colour)
    for axes in (losses, errors):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlim(left=0)
        drawn = [np.asarray(line.get_ydata(), float) for line in axes.lines]
        drawn = [values[np.isfinite(values)] for values in drawn if np.isfinite(values).any()]
        if drawn:
            ends = max(float(values[-1]) for values in drawn)
            axes.set_ylim(0, max(PARTS * float(np.median(np.concatenate(drawn))), 1.1 * ends))
    style.legend_below(
        figure,
        [
            Line2D([], [], color=colour, linewidth=2.2, label=style.literal(experiment.name))
            for colour, experiment in zip(COLOURS, experiments, strict=False)
        ],
    )
    return style.save(figure, path)


def _draw(axes: Axes, curves: Sequence[Curve], split: str, colour: str) -> None:
    if not curves:
        return
    # Seeds that were resumed have lines at other epochs too.
    epochs = reduce(np.intersect1d, [curve.epochs for curve in curves])
    values = np.stack([curve.values[np.isin(curve.epochs, epochs)] for curve in curves])
    axes.plot(epochs, values.mean(0), color=colour, linewidth=1.7, linestyle=TRAINING if split == "train" else "-")
    if len(curves) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.13, linewidth=0)
