"""Bars of costs, accuracy by depth, efficiency over devices and sweeps, read back from the figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from convnets.analysis.interconnects import MACHINES
from convnets.analysis.scaling import StepTraffic, Work, scaling_steps
from convnets.analysis.small_filters import BOTTLENECK_2, BOTTLENECK_4, ONE_7X7, THREE_3X3, TWO_3X3, Cost, Option
from convnets.analysis.timing import Timing
from convnets.plots import style
from convnets.plots.comparisons import plot_accuracy_by_depth, plot_cost_bars, plot_scaling
from convnets.plots.sweeps import Column, plot_best_so_far, plot_importance, plot_parallel_coordinates


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "picture.png"


def cost(option: Option, parameters: int, seconds: float | None = None) -> Cost:
    timing = None if seconds is None else Timing(slices=[seconds])
    return Cost(option, 1, 7, parameters, 1000 * parameters, 1, 4 * parameters, 0, 0, timing, timing)


def legend_texts(figure: Figure) -> list[str]:
    [legend] = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_bars_are_as_long_as_the_costs_are_to_the_first_options(out) -> None:
    costs = [cost(TWO_3X3, 800, 0.5), cost(BOTTLENECK_2, 200, 0.25), cost(BOTTLENECK_4, 40, 1.0)]
    first, second = plot_cost_bars(
        {"Bottlenecks": costs, "Untimed": [cost(ONE_7X7, 49), cost(THREE_3X3, 27)]}, out, note="D = 8"
    ).axes
    widths = [[bar.get_width() for bar in bars] for bars in first.containers]
    # Parameters, multiply-adds, both times, activations.
    assert widths == [[1, 1, 1, 1, 1], [0.25, 0.25, 0.5, 0.5, 0.25], [0.05, 0.05, 2.0, 2.0, 0.05]]
    texts = {text.get_text() for text in first.texts}
    assert {"800", "800 K", "500 ms", "3.20 kB", "× 0.25", "× 0.050", "× 2.00"} <= texts
    assert "time, training" not in [label.get_text() for label in second.get_yticklabels()]
    assert [text.get_text() for text in second.get_legend().get_texts()] == [
        "one 7×7: sees 7 × 7, 1 non-linearity",
        "three 3×3: sees 7 × 7, 1 non-linearity",
    ]


def by_depth(probed: int, trained: int, path: Path) -> Figure:
    probes = {f"network {number}": (0.5, 0.75) for number in range(probed)}
    levels = {f"way {number}": number / 10 for number in range(trained)}
    return plot_accuracy_by_depth(("conv1", "conv2"), probes, path, trained=levels, title="Transfer", note="")


@pytest.mark.parametrize("probed", [0, 2, 5])
def test_every_network_has_a_colour_a_line_and_a_place_in_the_legend(probed, out) -> None:
    [axes] = by_depth(probed, 5 - probed, out).axes
    assert {line.get_color() for line in axes.lines} == set(style.PALETTE)
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    # The levels from the highest down, as they stand in the plot.
    levels = [f"way {number}: {10 * number:.1f}%" for number in reversed(range(5 - probed))]
    assert said == [f"probes: network {number}" for number in range(probed)] + levels
    assert len({line.get_linestyle() + str(line._dash_pattern) for line in axes.lines[probed:]}) == 5 - probed


@pytest.mark.parametrize(("probed", "trained"), [(1, 5), (6, 0), (0, 6)])
def test_more_networks_than_colours_are_refused_and_not_left_out(probed, trained, out) -> None:
    with pytest.raises(ValueError, match=f"{probed} probed and {trained} trained networks, and colours for 5"):
        by_depth(probed, trained, out)


def test_each_machine_has_a_panel_with_the_bounds_of_each_network(out) -> None:
    work = Work("resnet50", 3_857_973_248, StepTraffic(4 * 25_557_032, (256,) * 212, (4, 4)))
    machines = {name: MACHINES[name] for name in ("dgx-h100", "tpu-v5e")}
    curves = {
        name: {
            each: scaling_steps(each, one, (1, 8, 1024), 64, 5000.0) for each in (work, replace(work, norms_apart=True))
        }
        for name, one in machines.items()
    }
    figure = plot_scaling(machines, curves, curves, out, batch=64, global_batch=512, note="by hand")
    above, below = figure.axes[:2], figure.axes[2:]
    for axes, name in zip(above, machines, strict=True):
        low, high, *others = axes.lines
        assert [line.is_dashed() for line in others] == [True, True]
        points = curves[name][work]
        assert list(low.get_xdata()) == [point.devices for point in points]
        assert list(low.get_ydata()) == pytest.approx([point.time.efficiency_without_overlap for point in points])
        assert all(high.get_ydata() >= low.get_ydata())
    assert list(above[1].lines[0].get_xdata()) == [1, 8], "a pod ends at 256"
    assert "64 images a device" in above[0].texts[0].get_text()
    assert "512 images in all" in below[0].texts[0].get_text()
    assert legend_texts(figure) == ["ResNet-50", "ResNet-50, norms of each device"]


@pytest.mark.parametrize(
    ("values", "scale", "places", "ticks"),
    [
        ([0.001, 0.01, 0.1], "log", [0, 0.5, 1], {"0.01": 0.5, "0.002": np.log10(2) / 2}),
        ([0.0, 0.25, 1.0], "linear", [0, 0.25, 1], {"0": 0.0}),
        (["sgd", "adamw", "sgd"], "named", [0, 1, 0], {"sgd": 0.0, "adamw": 1.0}),
        ([128, 32, 512], "named", [0.5, 0, 1], {"32": 0.0, "128": 0.5, "512": 1.0}),
        ([0.1, 0.1], "log", [0.5, 0.5], {"0.1": 0.5}),
        ([0.1, 0.1], "named", [0.5, 0.5], {"0.1": 0.5}),
    ],
)
def test_values_stand_on_their_axis_where_its_scale_puts_them(values, scale, places, ticks) -> None:
    column = Column("rate", values, scale)
    np.testing.assert_allclose(column.places(), places)
    found = {text: height for height, text in column.ticks()}
    assert {text: found[text] for text in ticks} == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("higher", "best", "edge"), [(True, [0.5, 0.5, 0.8], 0.4 - 0.25 * 0.4), (False, [0.5, 0.4, 0.4], 0.8 + 0.25 * 0.4)]
)
def test_the_best_so_far_never_falls_back_and_far_worse_pruned_trials_stand_on_the_edge(higher, best, edge, out):
    finished = [(0, 0.5, False), (1, 0.4, False), (2, -5.0 if higher else 9.0, True), (3, 0.8, False)]
    [axes] = plot_best_so_far(finished, "top1", higher, out).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.column_stack([[0, 1, 3], best]))
    np.testing.assert_allclose(axes.lines[2].get_xydata(), [[2, edge]])
    assert axes.get_ylim()[0 if higher else 1] == pytest.approx(edge)


def test_importance_has_a_bar_for_each_field_and_the_best_trial_is_drawn_last(out) -> None:
    [axes] = plot_importance({"rate": 0.7, "decay": 0.3}, "top1", out).axes
    assert [bar.get_width() for bar in axes.patches] == [0.7, 0.3]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["rate", "decay"] and axes.yaxis_inverted()
    columns = [Column("rate", [0.1, 0.2, 0.3], "linear")]
    [axes] = plot_parallel_coordinates(columns, "top1", [0.5, 0.9, 0.7], True, out).axes
    [lines] = [each for each in axes.collections if isinstance(each, LineCollection)]
    np.testing.assert_allclose(lines.get_segments()[-1][:, 1], [0.5, 1])
