"""Learning curves of one run and of several, read back from the figures."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from PIL import Image

from convnets.plots.learning_curves import (
    COMPARED_COLOURS,
    MOST_COMPARED,
    Compared,
    error_title,
    moving_average,
    plot_compared_runs,
    plot_learning_curves,
)


def train(step: int, **values: Any) -> dict[str, Any]:
    defaults = {"loss": 2.0 / step, "top1": 1 - 0.9 / step, "learning_rate": 0.1}
    return {"kind": "train", "step": step, "epoch": step / 10} | defaults | values


def evaluation(step: int, split: str = "validation", **values: Any) -> dict[str, Any]:
    defaults = {"loss": 0.5, "top1": 0.8, "top5": 0.95, "examples": 100}
    return {"kind": "evaluation", "split": split, "step": step, "epoch": step / 10} | defaults | values


@pytest.fixture
def curves(tmp_path: Path) -> Any:
    return lambda records: plot_learning_curves(records, tmp_path / "curves.png", metric="top1")


@pytest.fixture
def compared(tmp_path: Path) -> Any:
    return lambda *experiments: plot_compared_runs(experiments, "top1", tmp_path / "compared.png")


def drawn(axes: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    [line] = [line for line in axes.get_lines() if line.get_label() == label]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_the_curves_are_the_records_with_the_best_and_the_last_values_above(curves) -> None:
    records = [train(step) for step in range(1, 21)]
    figure = curves([*records, evaluation(10, loss=0.7, top1=0.9), evaluation(20, loss=0.6, top1=0.875)])
    loss, error, rate = figure.axes
    epochs, values = drawn(loss, "train loss")
    np.testing.assert_allclose(epochs, np.arange(1, 21) / 10)
    np.testing.assert_allclose(values, 2.0 / np.arange(1, 21))
    np.testing.assert_allclose(drawn(loss, "validation loss"), ([1.0, 2.0], [0.7, 0.6]))
    np.testing.assert_allclose(drawn(error, "train top1")[1], 90.0 / np.arange(1, 21))
    np.testing.assert_allclose(drawn(error, "validation top1"), ([1.0, 2.0], [10.0, 12.5]))
    np.testing.assert_allclose(drawn(rate, "learning rate")[1], 0.1)
    assert "validation: last 0.6 (the best)" in texts(figure)
    assert "validation: best 10.00 % (epoch 1), last 12.50 %" in texts(figure)


def test_many_training_lines_are_smoothed_and_a_raw_spike_does_not_set_the_range(curves) -> None:
    losses = 1.0 + np.random.default_rng(0).normal(0.0, 0.1, 1000)
    losses[500] = 50.0
    loss, _, _ = curves([train(i + 1, loss=losses[i]) for i in range(1000)]).axes
    raw, smooth = drawn(loss, "train loss raw")[1], drawn(loss, "train loss")[1]
    np.testing.assert_allclose(raw, losses)
    assert smooth[:400].std() < 0.4 * raw[:400].std()
    assert loss.get_ylim()[1] < 5.0


def test_the_average_is_centred_keeps_gaps_and_begins_where_the_values_do() -> None:
    values = np.arange(400.0)
    smooth = moving_average(values)
    np.testing.assert_allclose(smooth[:390], values[:390])
    assert smooth[399] == pytest.approx(values[389:].mean())
    values[50] = np.nan
    smooth = moving_average(values)
    assert np.flatnonzero(np.isnan(smooth)).tolist() == [50]
    assert smooth[52] == pytest.approx(np.nanmean(values[42:63]))


def test_of_a_step_written_twice_the_later_line_counts(curves) -> None:
    lines = [(1, 5.0), (2, 4.0), (3, 3.0), (2, 1.0), (3, 0.5)]
    loss, _, _ = curves([train(step, loss=value) for step, value in lines]).axes
    np.testing.assert_allclose(drawn(loss, "train loss"), ([0.1, 0.2, 0.3], [5.0, 1.0, 0.5]))


def test_losses_that_are_not_finite_leave_a_gap_and_are_counted(curves) -> None:
    bad = {4: math.nan, 5: math.inf, 6: None}
    records = [train(step, loss=bad.get(step, 1.0)) for step in range(1, 11)]
    figure = curves([*records, evaluation(10, loss=math.nan, top1=math.nan)])
    assert np.flatnonzero(np.isnan(drawn(figure.axes[0], "train loss")[1])).tolist() == [3, 4, 5]
    assert "3 of 10 training losses not finite, first at epoch 0.4" in texts(figure)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [train(1) | {"step": 0, "epoch": 0.0}],
        [train(1, loss=math.nan, top1=math.nan, learning_rate=0.0)],
        [{"kind": "event", "text": "resumed"}],
        [evaluation(5, "test", loss=-1.5, top1=1.0)],
    ],
    ids=["nothing", "step 0", "nan", "other kinds", "negative loss"],
)
def test_few_or_odd_records_still_give_a_picture(records: list[dict[str, Any]], curves, tmp_path: Path) -> None:
    curves(records)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 2.5 * picture.height


@pytest.mark.parametrize(
    ("rates", "scale"),
    [([0.1, 0.01, 0.001], "log"), ([0.1, 0.05, 0.02], "linear"), ([0.1, 0.0, 0.0], "linear")],
)
def test_the_learning_rate_is_logarithmic_over_more_than_a_decade(rates: list[float], scale: str, curves) -> None:
    axes = curves([train(i + 1, learning_rate=rate) for i, rate in enumerate(rates)]).axes[2]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    positive = [rate for rate in rates if rate > 0]
    assert low <= min(positive) and max(positive) < high < 2 * max(positive)


@pytest.mark.parametrize(("last", "scale"), [(1.0, "log"), (0.0, "linear")])
def test_errors_over_a_wide_range_are_drawn_on_a_logarithmic_axis_unless_one_is_zero(last, scale, curves) -> None:
    errors = enumerate((50.0, 10.0, 1.0, last), 1)
    axes = curves([make(step, top1=1 - error / 100) for step, error in errors for make in (train, evaluation)]).axes[1]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert low <= last and high >= 50


def test_the_metric_is_drawn_for_the_splits_that_have_it(curves) -> None:
    test = evaluation(2, "test")
    del test["top1"]
    figure = curves([train(1), train(2), evaluation(2), test])
    labels = {str(line.get_label()) for line in figure.axes[1].get_lines()}
    assert {"train top1", "validation top1"} <= labels and "test top1" not in labels
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "validation", "test"]


def test_errors_are_printed_as_a_textbook_would() -> None:
    titles = [error_title(key) for key in ("top1", "pixel_accuracy", "mean_iu", "iou")]
    assert titles == ["Top-1 error (%)", "Pixel accuracy error (%)", "1 - mean IU (%)", "1 - IoU (%)"]


def seed(offset: float, epochs: int = 4) -> list[dict[str, Any]]:
    return [
        make(10 * epoch, loss=2 - offset, top1=offset + epoch / 100 + 0.1 * (make is train))
        for epoch in range(1, epochs + 1)
        for make in (train, evaluation)
    ]


def test_each_experiment_has_a_line_for_validation_and_a_dotted_one_for_training(compared) -> None:
    figure = compared(Compared("none", [seed(0.5)]), Compared("full", [seed(0.6)]))
    losses, errors = figure.axes[:2]
    assert len(losses.lines) == len(errors.lines) == 4
    training, validation = errors.lines[2:]
    assert training.get_color() == validation.get_color() == COMPARED_COLOURS[1]
    assert validation.get_linestyle() == "-" and training.get_linestyle() != "-"
    np.testing.assert_allclose(validation.get_ydata(), 100 * (1 - 0.6 - np.arange(1, 5) / 100))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["none", "full"]


def test_seeds_are_drawn_as_their_mean_and_range(compared) -> None:
    axes = compared(Compared("one", [seed(0.5), seed(0.6), seed(0.7)])).axes[1]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), 100 * (1 - 0.6 - np.arange(1, 5) / 100))
    bands = [band for band in axes.collections if isinstance(band, PolyCollection)]
    edges = bands[1].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (pytest.approx(100 * (1 - 0.74)), pytest.approx(100 * (1 - 0.51)))


def test_seeds_are_compared_at_the_epochs_that_all_have(compared) -> None:
    """One was resumed in mid-epoch, and has more lines; one is at its beginning."""
    resumed = sorted([*seed(0.5), train(15, top1=0.9)], key=lambda line: line["epoch"])
    training, validation = compared(Compared("one", [seed(0.5), resumed, seed(0.5, 3)])).axes[1].lines
    assert training.get_xdata().tolist() == validation.get_xdata().tolist() == [1, 2, 3]
    np.testing.assert_allclose(training.get_ydata(), 100 * (1 - 0.6 - np.arange(1, 4) / 100))


def test_no_experiment_ends_above_the_plot_and_one_without_records_is_left_out(compared) -> None:
    good = Compared("good", [seed(0.6, 30)])
    figure = compared(good, Compared("good too", good.seeds), Compared("bad", [seed(0.2)]), Compared("new", [[]]))
    assert figure.axes[1].get_ylim()[1] > 100 * (1 - 0.24)
    assert len(figure.axes[1].lines) == 6
    with pytest.raises(ValueError, match=f"At most {MOST_COMPARED}"):
        compared(*[good] * (MOST_COMPARED + 1))
