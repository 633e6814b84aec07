import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from convnets.plots.learning_curves import (
    error_name,
    learning_curves_figure,
    metric_name,
    moving_average,
    plot_learning_curves,
)


def train(step: int, **values: Any) -> dict[str, Any]:
    defaults = {"loss": 2.0 / step, "top1": 1 - 0.9 / step, "learning_rate": 0.1}
    return {"kind": "train", "step": step, "epoch": step / 10} | defaults | values


def evaluation(step: int, split: str = "validation", **values: Any) -> dict[str, Any]:
    defaults = {"loss": 0.5, "top1": 0.8, "top5": 0.95, "examples": 100}
    return {"kind": "evaluation", "split": split, "step": step, "epoch": step / 10} | defaults | values


def drawn(axes: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    [line] = [line for line in axes.get_lines() if line.get_label() == label]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_the_curves_are_the_records() -> None:
    records = [train(step) for step in range(1, 21)]
    records += [evaluation(10, loss=0.7, top1=0.75), evaluation(20, loss=0.6, top1=0.875)]
    loss, error, rate = learning_curves_figure(records).axes

    epochs, values = drawn(loss, "train loss")
    np.testing.assert_allclose(epochs, np.arange(1, 21) / 10)
    np.testing.assert_allclose(values, 2.0 / np.arange(1, 21))
    np.testing.assert_allclose(drawn(loss, "validation loss"), ([1.0, 2.0], [0.7, 0.6]))
    np.testing.assert_allclose(drawn(error, "train top1")[1], 90.0 / np.arange(1, 21))
    np.testing.assert_allclose(drawn(error, "validation top1"), ([1.0, 2.0], [25.0, 12.5]))
    np.testing.assert_allclose(drawn(rate, "learning rate")[1], 0.1)


def test_the_best_and_the_last_validation_values_are_written_above() -> None:
    records = [train(step) for step in range(1, 31)]
    records += [evaluation(10, loss=0.4, top1=0.9), evaluation(20, loss=0.3, top1=0.8)]
    written = texts(learning_curves_figure(records))
    assert "validation: last 0.3 (the best)" in written
    assert "validation: best 10.00 % (epoch 1), last 20.00 %" in written


def test_many_training_lines_are_smoothed_and_the_raw_ones_stay_behind() -> None:
    losses = 1.0 + np.random.default_rng(0).normal(0.0, 0.1, 5000)
    loss, _, _ = learning_curves_figure([train(i + 1, loss=losses[i]) for i in range(5000)]).axes
    raw, smooth = drawn(loss, "train loss raw")[1], drawn(loss, "train loss")[1]
    np.testing.assert_allclose(raw, losses)
    assert smooth.std() < 0.2 * raw.std()


def test_the_average_is_centred_keeps_gaps_and_begins_where_the_values_do() -> None:
    values = np.arange(400.0)
    smooth = moving_average(values)
    np.testing.assert_allclose(smooth[:390], values[:390])
    assert smooth[399] == pytest.approx(values[389:].mean())

    values[50] = np.nan
    smooth = moving_average(values)
    assert np.flatnonzero(np.isnan(smooth)).tolist() == [50]
    assert smooth[52] == pytest.approx(np.nanmean(values[42:63]))


def test_of_a_step_written_twice_the_later_line_counts() -> None:
    records = [
        train(1, loss=5.0),
        train(2, loss=4.0),
        train(3, loss=3.0),
        train(2, loss=1.0),
        train(3, loss=0.5),
    ]
    loss, _, _ = learning_curves_figure(records).axes
    np.testing.assert_allclose(drawn(loss, "train loss"), ([0.1, 0.2, 0.3], [5.0, 1.0, 0.5]))


def test_losses_that_are_not_finite_leave_a_gap_and_are_counted(tmp_path: Path) -> None:
    bad = {4: math.nan, 5: math.inf, 6: None}
    records = [train(step, loss=bad.get(step, 1.0)) for step in range(1, 11)]
    figure = learning_curves_figure([*records, evaluation(10, loss=math.nan, top1=math.nan)])
    assert np.flatnonzero(np.isnan(drawn(figure.axes[0], "train loss")[1])).tolist() == [3, 4, 5]
    assert "3 of 10 training losses not finite, first at epoch 0.4" in texts(figure)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [train(1)],
        [train(1) | {"step": 0, "epoch": 0.0}],
        [evaluation(5)],
        [train(step) for step in range(1, 100)],
        [train(1, loss=math.nan, top1=math.nan, learning_rate=0.0)],
        [{"kind": "event", "text": "resumed"}],
        [evaluation(5, "test", loss=-1.5, top1=1.0)],
    ],
    ids=["nothing", "one", "step0", "evaluation", "no evaluation", "nan", "other kinds", "negative loss"],
)
def test_few_or_odd_records_still_give_a_picture(records: list[dict[str, Any]], tmp_path: Path) -> None:
    plot_learning_curves(records, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 2.5 * picture.height


@pytest.mark.parametrize(
    ("rates", "scale"),
    [([0.1, 0.01, 0.001], "log"), ([0.1, 0.05, 0.02], "linear"), ([0.1, 0.0, 0.0], "linear")],
)
def test_the_learning_rate_is_logarithmic_over_more_than_a_decade(rates: list[float], scale: str) -> None:
    axes = learning_curves_figure([train(i + 1, learning_rate=rate) for i, rate in enumerate(rates)]).axes[2]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    positive = [rate for rate in rates if rate > 0]
    assert low <= min(positive) and max(positive) < high < 2 * max(positive)


def test_a_spike_in_the_raw_training_loss_does_not_set_the_range() -> None:
    records = [train(step, loss=50.0 if step == 500 else 1.0) for step in range(1, 1001)]
    assert learning_curves_figure(records).axes[0].get_ylim()[1] < 5.0


def test_each_metric_is_drawn_for_the_splits_that_have_it() -> None:
    records = [train(1), train(2), evaluation(2), evaluation(2, "test", top1=0.7)]
    figure = learning_curves_figure(records, metrics=("top1", "top5"))
    labels = {str(line.get_label()) for line in figure.axes[1].get_lines()}
    assert {"train top1", "validation top1", "validation top5", "test top1", "test top5"} <= labels
    assert "train top5" not in labels
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "train", "validation", "test", "top-1 error", "top-5 error",
    ]  # fmt: skip


def test_more_metrics_than_line_styles_are_refused() -> None:
    with pytest.raises(ValueError, match="At most 4 metrics"):
        learning_curves_figure([], metrics=("a", "b", "c", "d", "e"))


def test_metrics_are_printed_as_a_textbook_would() -> None:
    assert [metric_name(key) for key in ("top1", "top5", "mean_iu", "iou")] == ["top-1", "top-5", "mean IU", "IoU"]
    names = [error_name(key) for key in ("top1", "pixel_accuracy", "mean_iu")]
    assert names == ["top-1 error", "pixel accuracy error", "1 - mean IU"]
