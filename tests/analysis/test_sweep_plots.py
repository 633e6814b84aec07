"""The pictures of a sweep show its figures where they are."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from convnets.plots.sweep_plots import (
    Column,
    best_so_far_figure,
    importance_figure,
    parallel_coordinates_figure,
    plot_best_so_far,
    plot_importance,
    plot_parallel_coordinates,
)


def test_a_logarithmic_axis_spreads_factors_evenly():
    column = Column("rate", [0.001, 0.01, 0.1], "log")
    np.testing.assert_allclose(column.places(), [0, 0.5, 1])
    ticks = {text: height for height, text in column.ticks()}
    assert ticks["0.01"] == pytest.approx(0.5) and ticks["0.002"] == pytest.approx(np.log10(2) / 2)


def test_a_linear_axis_spreads_differences_evenly():
    column = Column("share", [0.0, 0.25, 1.0], "linear")
    np.testing.assert_allclose(column.places(), [0, 0.25, 1])
    assert (0.0, "0") in column.ticks()


def test_named_values_stand_evenly_numbers_among_them_in_order():
    names = Column("optimizer", ["sgd", "adamw", "sgd"], "named")
    np.testing.assert_allclose(names.places(), [0, 1, 0])
    assert names.ticks() == [(0.0, "sgd"), (1.0, "adamw")]
    numbers = Column("batch", [128, 32, 512], "named")
    np.testing.assert_allclose(numbers.places(), [0.5, 0, 1])
    assert [text for _, text in numbers.ticks()] == ["32", "128", "512"]


def test_one_value_stands_in_the_middle():
    for scale in ("linear", "log", "named"):
        np.testing.assert_allclose(Column("rate", [0.1, 0.1], scale).places(), 0.5)


@pytest.mark.parametrize(("higher", "best"), [(True, [0.5, 0.5, 0.8]), (False, [0.5, 0.4, 0.4])])
def test_the_best_so_far_never_falls_back_and_pruned_trials_are_none(higher, best):
    finished = [(0, 0.5, False), (1, 0.4, False), (2, 0.9, True), (3, 0.8, False)]
    (axes,) = best_so_far_figure(finished, "top1", higher).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.column_stack([[0, 1, 3], best]))
    np.testing.assert_allclose(axes.lines[2].get_xydata(), [[2, 0.9]])


@pytest.mark.parametrize(("higher", "expected"), [(True, 0.75), (False, 1.05)])
def test_pruned_trials_that_were_far_worse_stand_on_the_edge(higher, expected):
    values = [(0, 0.8, False), (1, 1.0, False), (2, -5.0 if higher else 9.0, True), (3, 0.9, True)]
    (axes,) = best_so_far_figure(values, "top1", higher).axes
    np.testing.assert_allclose(axes.lines[2].get_ydata(), [expected, 0.9])
    assert axes.get_ylim()[0 if higher else 1] == pytest.approx(expected)


@pytest.mark.parametrize("higher", [True, False])
def test_each_trial_is_a_line_and_the_best_one_is_drawn_last(higher):
    columns = [Column("rate", [0.1, 0.2, 0.3], "linear")]
    (axes,) = parallel_coordinates_figure(columns, "top1", [0.5, 0.9, 0.7], higher).axes
    (lines,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    drawn = [segment[:, 1].tolist() for segment in lines.get_segments()]
    assert len(drawn) == 3
    np.testing.assert_allclose(drawn[-1], [0.5, 1] if higher else [0, 0])


def test_importance_has_a_bar_for_each_field_the_largest_on_top():
    (axes,) = importance_figure({"rate": 0.7, "decay": 0.3}, "top1").axes
    assert [bar.get_width() for bar in axes.patches] == [0.7, 0.3]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["rate", "decay"] and axes.yaxis_inverted()


def test_files_are_written(tmp_path):
    plot_best_so_far([(0, 0.5, False)], "top1", True, tmp_path / "a.png")
    plot_importance({"rate": 1.0}, "top1", tmp_path / "b.png")
    plot_parallel_coordinates([Column("rate", [0.1, 0.2], "log")], "loss", [0.1, 0.2], False, tmp_path / "c.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("a.png", "b.png", "c.png"))
