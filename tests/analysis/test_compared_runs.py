"""Curves of several experiments: what is drawn, read back from the figure."""

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from convnets.plots.compared_runs import COLOURS, MOST, Compared, compared_runs_figure


def records(offset: float, epochs: int = 4) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        value = offset + epoch / 100
        lines.append({"kind": "train", "step": epoch, "epoch": epoch, "loss": 2 - value, "top1": value + 0.1})
        lines.append(
            {
                "kind": "evaluation",
                "split": "validation",
                "step": epoch,
                "epoch": epoch,
                "loss": 3 - value,
                "top1": value,
            }
        )
    return lines


def test_each_experiment_has_a_line_for_validation_and_a_dotted_one_for_training():
    figure = compared_runs_figure([Compared("none", [records(0.5)]), Compared("full", [records(0.6)])], "top1")
    losses, errors = figure.axes[:2]
    assert len(losses.lines) == len(errors.lines) == 4
    training, validation = errors.lines[2:]
    assert training.get_color() == validation.get_color() == COLOURS[1]
    assert validation.get_linestyle() == "-" and training.get_linestyle() != "-"
    np.testing.assert_allclose(validation.get_ydata(), 100 * (1 - 0.6 - np.arange(1, 5) / 100))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["none", "full"]


def test_seeds_are_drawn_as_their_mean_and_range():
    seeds = [records(0.5), records(0.6), records(0.7)]
    figure = compared_runs_figure([Compared("one", seeds)], "top1")
    _, validation = figure.axes[1].lines
    np.testing.assert_allclose(validation.get_ydata(), 100 * (1 - 0.6 - np.arange(1, 5) / 100))
    bands = [band for band in figure.axes[1].collections if isinstance(band, PolyCollection)]
    low, high = bands[1].get_paths()[0].vertices[:, 1].min(), bands[1].get_paths()[0].vertices[:, 1].max()
    assert (low, high) == (pytest.approx(100 * (1 - 0.74)), pytest.approx(100 * (1 - 0.51)))


def test_seeds_are_compared_at_the_epochs_that_all_have():
    """One was resumed in mid-epoch, and has more lines; one is at its beginning."""
    more = {"kind": "train", "step": 1.5, "epoch": 1.5, "loss": 9, "top1": 0.9}
    resumed = sorted([*records(0.5), more], key=lambda line: line["epoch"])
    figure = compared_runs_figure([Compared("one", [records(0.5), resumed, records(0.5, 3)])], "top1")
    training, validation = figure.axes[1].lines
    assert training.get_xdata().tolist() == validation.get_xdata().tolist() == [1, 2, 3]
    np.testing.assert_allclose(training.get_ydata(), 100 * (1 - 0.6 - np.arange(1, 4) / 100))


def test_no_experiment_ends_above_the_plot():
    good, bad = Compared("good", [records(0.9, 30)]), Compared("bad", [records(0.2)])
    figure = compared_runs_figure([good, Compared("good too", good.seeds), bad], "top1")
    assert figure.axes[1].get_ylim()[1] > 100 * (1 - 0.24)


def test_runs_without_records_leave_an_empty_plot():
    figure = compared_runs_figure([Compared("new", [[]])], "top1")
    assert not figure.axes[0].lines


def test_more_experiments_than_colours_are_refused():
    with pytest.raises(ValueError, match=f"At most {MOST}"):
        compared_runs_figure([Compared(str(i), [records(0.5)]) for i in range(MOST + 1)], "top1")
