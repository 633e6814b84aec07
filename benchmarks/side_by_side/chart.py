"""The picture of a comparison: each network's time over that of eager PyTorch.

python -m benchmarks.side_by_side.chart [--rows benchmarks/results/against_pytorch.json] [--out FILE.png]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.measuring import RESULTS, Row
from benchmarks.side_by_side.cases import MODES, NETWORKS, TYPES
from convnets.plots.style import (
    BLUE,
    GRID,
    INK,
    ORANGE,
    PAPER,
    SMALL_SIZE,
    TEXT_SIZE,
    VERMILION,
    dress,
    legend_below,
    new_figure,
    save,
)

MARKS = {
    "compiled": ("convnets, compiled kernels", BLUE, "o"),
    "xla": ("convnets, XLA alone", VERMILION, "s"),
    "torch.compile": ("PyTorch, torch.compile", ORANGE, "D"),
}
"""The label, colour and marker of each contestant."""

TICKS = (0.25, 0.5, 1, 2, 4, 8, 16)


def draw(rows: Sequence[Row]) -> Figure:
    """A panel for each mode and type; a line for each network, its contestants along a logarithmic axis.

    Args:
      rows: as `rows_of` makes them; those with memory returned are left out.
    """
    kept = [row for row in rows if row["memory"] == "kept" and isinstance(row["medians_over_eager"], float)]
    networks = [name for name in NETWORKS if any(row["network"] == name for row in kept)]
    figure = new_figure(11.0, 1.7 + 0.6 * len(networks))
    panels = figure.subplots(len(MODES), len(TYPES), sharex=True, sharey=True, squeeze=False)
    for line, mode in enumerate(MODES):
        for column, dtype in enumerate(TYPES):
            here = [row for row in kept if (row["mode"], row["dtype"]) == (mode, dtype)]
            label = "faster ←  time over that of eager PyTorch" if line == len(MODES) - 1 else ""
            draw_panel(panels[line][column], here, networks, f"{mode.capitalize()}, {dtype}", label)
    there = {row["contestant"] for row in kept}
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=label)
        for name, (label, colour, marker) in MARKS.items()
        if name in there
    ]
    legend_below(figure, [*handles, Line2D([], [], color=INK, linewidth=1.2, label="PyTorch, eager")])
    return figure


def draw_panel(axes: Axes, rows: Sequence[Row], networks: Sequence[str], title: str, label: str) -> None:
    """One panel; to the left of the line at 1 is faster than eager PyTorch."""
    ratios = {(row["network"], row["contestant"]): float(row["medians_over_eager"] or 0) for row in rows}
    axes.axvline(1.0, color=INK, linewidth=1.2, zorder=1)
    for place, network in enumerate(networks):
        here = [ratios[network, name] for name in MARKS if (network, name) in ratios]
        axes.plot([min([1.0, *here]), max([1.0, *here])], [place, place], color=GRID, linewidth=4.0, zorder=0)
        for name, (_, colour, marker) in reversed(MARKS.items()):
            if (network, name) in ratios:
                axes.plot(ratios[network, name], place, marker=marker, color=colour, markersize=6.5, zorder=2)
        if (network, "compiled") in ratios:
            ratio = ratios[network, "compiled"]
            axes.annotate(
                f"{ratio:.2f}",
                (ratio, place),
                xytext=(0, 4.5),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=SMALL_SIZE,
                color=BLUE,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8},
            )
    axes.set_xscale("log", base=2)
    axes.set_yticks(range(len(networks)), networks)
    axes.set_ylim(len(networks) - 0.4, -0.8)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
    dress(axes, title=title, x=label, grid=False)
    axes.grid(True, axis="x", color=GRID, linewidth=0.8)
    axes.tick_params(axis="y", length=0, labelsize=TEXT_SIZE)


def main(arguments: Sequence[str]) -> int:
    """Draws the rows of a file; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.side_by_side.chart", description="Draws the comparison with PyTorch."
    )
    parser.add_argument("--rows", type=Path, nargs="+", default=[RESULTS / "against_pytorch.json"], metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("docs/images/cpu_speed.png"), metavar="FILE.png")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    for path in given.rows:
        found = json.loads(path.read_text())
        rows += found["rows"] if isinstance(found, dict) else found
    save(draw(rows), given.out)
    print(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
