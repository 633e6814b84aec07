"""Learning curves from `metrics.jsonl`: loss, error and learning rate of a run, or several experiments in one plot."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from convnets.plots import style

COLOURS = {"train": style.BLUE, "validation": style.VERMILION, "test": style.GREEN}
FEW = 40
"""Training lines below which each is marked, and none is smoothed."""
DECADE = 10.0
WIDE_RANGE = 30.0
"""A loss or an error that falls by more than this is read better on a logarithmic axis."""
SMALLEST = 5e-4
"""Schedules that end at zero, and training errors that do, would else stretch a logarithmic axis without end."""

COMPARED_COLOURS = (style.INK, *style.PALETTE)
MOST_COMPARED = len(COMPARED_COLOURS)
TRAINING = (0, (1.2, 1.2))
PARTS = 2
"""Curves start high: the vertical axis ends at so many times the median of all, or above where the highest ends."""


@dataclass(frozen=True)
class Curve:
    """One quantity over a run: `epochs [T]` ascending and `values [T]`, float64, NaN where not finite."""

    epochs: np.ndarray
    values: np.ndarray

    def finite(self) -> "Curve":
        """The curve without its non-finite points."""
        kept = np.isfinite(self.values)
        return Curve(self.epochs[kept], self.values[kept])

    def error(self) -> "Curve":
        """In %, what is missing of a metric to 1."""
        return Curve(self.epochs, 100.0 * (1.0 - self.values))


def plot_learning_curves(records: Sequence[Mapping[str, Any]], path: Path, *, metric: str) -> Figure:
    """Three panels over epochs: loss, error (1 - metric, in %) and learning rate.

    Training values are drawn raw (faint) and as a centred moving average, which doesn't lag behind the evaluation. The
    best (ringed) and the last validation values stand above each panel.

    Args:
      records: the lines of `metrics.jsonl`: `{"kind": "train", "step", "epoch", "loss", "learning_rate", metric...}`
        and `{"kind": "evaluation", "split": "validation" | "test", "step", "epoch", "loss", metric...}`. Other kinds
        are passed over; missing, null and non-finite values leave gaps. May be empty.
      metric: a fraction in [0, 1], higher is better.
    """
    splits = {split: lines_of(records, split) for split in COLOURS}
    losses = {split: curve_of(lines, "loss") for split, lines in splits.items()}
    errors = {split: curve_of(lines, metric).error() for split, lines in splits.items()}
    loss_notes = [_not_finite(losses["train"]), _best_and_last(losses["validation"], "{:.4g}")]
    notes = _same_height([loss_notes, [_best_and_last(errors["validation"], "{:.2f} %")], []])

    figure = style.new_figure(12.5, 4.4)
    loss_axes, error_axes, rate_axes = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.8))
    titles = "Loss", error_title(metric), "Learning rate"
    last_epoch = max((float(line["epoch"]) for lines in splits.values() for line in lines), default=1.0)
    for axes, title, note in zip((loss_axes, error_axes, rate_axes), titles, notes, strict=True):
        style.dress(axes, title=title, note=note, x="epoch")
        axes.set_xlim(0.0, (last_epoch if last_epoch > 0 else 1.0) * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=last_epoch >= 6))
    _draw_panel(loss_axes, losses, "loss")
    _draw_panel(error_axes, errors, metric, ceiling=100.0)
    rate = curve_of(splits["train"], "learning_rate")
    if len(rate.epochs):
        marker = "o" if len(rate.epochs) == 1 else ""
        rate_axes.plot(rate.epochs, rate.values, color=style.INK, linewidth=1.7, marker=marker, label="learning rate")
    _choose_axis(rate_axes, rate.values, ceiling=math.inf, wide=DECADE)

    handles = [
        Line2D([], [], color=COLOURS[name], linewidth=2.2, label=name) for name, lines in splits.items() if lines
    ]
    style.legend_below(figure, handles)
    return style.save(figure, path)


def error_title(metric: str) -> str:
    """How what is missing of a metric to 1 is printed: Top-1 error (%), or 1 - mean IU (%)."""
    name = " ".join({"iu": "IU", "iou": "IoU"}.get(word, word) for word in metric.split("_"))
    name = re.sub(r"^top(\d+)$", r"top-\1", name)
    error = f"{name} error" if name.startswith("top-") or metric.endswith("accuracy") else f"1 - {name}"
    return f"{error[:1].upper()}{error[1:]} (%)"


def moving_average(values: np.ndarray) -> np.ndarray:
    """The centred moving average of `values [T]` over about a twentieth of them; NaN stays NaN and isn't averaged.

    At the start, where curves are steep, the window shrinks on both sides alike, so that the average begins where the
    values do; at the end only on the side that is missing.
    """
    count = len(values)
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    place = np.arange(count)
    half = np.minimum(count // 40, place)
    first, last = place - half, np.minimum(place + half + 1, count)
    means = (sums[last] - sums[first]) / np.maximum(counts[last] - counts[first], 1)
    return np.where(known, means, np.nan)


def lines_of(records: Sequence[Mapping[str, Any]], split: str) -> list[Mapping[str, Any]]:
    """The lines of "train", "validation" or "test" in the order of their steps; of two of one step the later."""
    wanted = ("train", None) if split == "train" else ("evaluation", split)
    by_step = {line["step"]: line for line in records if (line.get("kind"), line.get("split")) == wanted}
    return [by_step[step] for step in sorted(by_step)]


def curve_of(lines: Sequence[Mapping[str, Any]], name: str) -> Curve:
    """One figure of lines that have it."""
    kept = [line for line in lines if name in line]
    values = np.array([math.nan if line[name] is None else float(line[name]) for line in kept])
    return Curve(np.array([float(line["epoch"]) for line in kept]), np.where(np.isfinite(values), values, np.nan))


def _not_finite(loss: Curve) -> str:
    missing = np.isnan(loss.values)
    if not missing.any():
        return ""
    first = loss.epochs[missing][0]
    return f"{missing.sum():,} of {len(missing):,} training losses not finite, first at epoch {first:.4g}"


def _best_and_last(curve: Curve, form: str) -> str:
    known = curve.finite()
    if not len(known.values):
        return ""
    best = int(np.argmin(known.values))
    last = f"last {form.format(known.values[-1])}"
    if best == len(known.values) - 1:
        return f"validation: {last} (the best)"
    return f"validation: best {form.format(known.values[best])} (epoch {known.epochs[best]:.4g}), {last}"


def _same_height(notes: Sequence[Sequence[str]]) -> list[str]:
    """Each panel's lines; trailing empty ones lift short notes to their neighbours' height, so that titles align."""
    kept = [[line for line in lines if line] for lines in notes]
    height = max(map(len, kept))
    return ["\n".join([*lines, *[" "] * (height - len(lines))]) for lines in kept]


def _draw_panel(axes: Axes, curves: Mapping[str, Curve], name: str, *, ceiling: float = math.inf) -> None:
    shown: list[np.ndarray] = []
    for split, curve in curves.items():
        colour, label, count, values = COLOURS[split], f"{split} {name}", len(curve.epochs), curve.values
        if count == 0:
            continue
        if split == "train" and count >= FEW:
            axes.plot(curve.epochs, values, color=colour, alpha=0.22, linewidth=0.7, label=f"{label} raw")
            values = moving_average(values)
        elif count < FEW or split == "test":
            axes.plot(curve.epochs, values, "D" if split == "test" else "o", color=colour, markersize=3.5, zorder=3)
        axes.plot(curve.epochs, values, color=colour, linewidth=1.7, label=label)
        known = curve.finite()
        if split == "validation" and len(known.values) > 1:
            best = int(np.argmin(known.values))
            [ring] = axes.plot(known.epochs[best], known.values[best], "o", color=colour, zorder=4, clip_on=False)
            ring.set(markersize=9, markerfacecolor="none", markeredgewidth=1.5)
        shown.append(values)
    values = np.concatenate([*shown, np.zeros(0)])
    # A curve that reaches zero, as the errors of an easy data set do, would leave a logarithmic axis.
    _choose_axis(axes, values, ceiling=ceiling, wide=math.inf if np.any(values == 0) else WIDE_RANGE)


def _choose_axis(axes: Axes, values: np.ndarray, *, ceiling: float, wide: float) -> None:
    """Sets the scale and range from `values`: logarithmic over a wide range, else linear from zero.

    The faint raw training values aren't among them: one spike would squeeze everything else to the bottom.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        style.write(axes, "nothing recorded yet", (0.5, 0.5), xycoords="axes fraction", ha="center", color=style.MUTED)
        axes.set_yticks([])
        return
    high = float(values.max())
    positive = values[values > high * SMALLEST] if high > 0 else values[:0]
    low = float(positive.min()) if len(positive) else 0.0
    if low > 0 and high / low > wide:
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(low / 1.4, min(high * 1.4, ceiling * 1.1))
        axes.yaxis.set_major_locator(LogLocator(10.0, subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        bottom = min(0.0, float(values.min()) * 1.08)
        axes.set_ylim(bottom, min(high * 1.08, ceiling) if high > 0 else max(-0.08 * bottom, 1e-3))


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
    if len(experiments) > MOST_COMPARED:
        raise ValueError(f"At most {MOST_COMPARED} experiments fit one plot, but {len(experiments)} were given.")
    figure = style.new_figure(11.5, 4.8)
    losses, errors = figure.subplots(1, 2)
    style.dress(losses, title="Loss", note="validation: line; training: dotted", x="epoch")
    style.dress(errors, title=error_title(metric), note="mean of the seeds, and their range", x="epoch")
    for colour, experiment in zip(COMPARED_COLOURS, experiments, strict=False):
        for split in ("train", "validation"):
            _draw_compared(losses, experiment.curves(split, "loss"), split, colour)
            _draw_compared(errors, [curve.error() for curve in experiment.curves(split, metric)], split, colour)
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
            for colour, experiment in zip(COMPARED_COLOURS, experiments, strict=False)
        ],
    )
    return style.save(figure, path)


def _draw_compared(axes: Axes, curves: Sequence[Curve], split: str, colour: str) -> None:
    if not curves:
        return
    # Seeds that were resumed have lines at other epochs too.
    epochs = reduce(np.intersect1d, [curve.epochs for curve in curves])
    values = np.stack([curve.values[np.isin(curve.epochs, epochs)] for curve in curves])
    axes.plot(epochs, values.mean(0), color=colour, linewidth=1.7, linestyle=TRAINING if split == "train" else "-")
    if len(curves) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.13, linewidth=0)
