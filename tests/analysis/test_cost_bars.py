from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from convnets.analysis.small_filters import BOTTLENECK_2, BOTTLENECK_4, ONE_7X7, THREE_3X3, TWO_3X3, Cost, Option
from convnets.analysis.timing import Timing
from convnets.plots.cost_bars import cost_bars_figure, plot_cost_bars


def cost(option: Option, parameters: int, seconds: float | None = None, sees: int = 7) -> Cost:
    timing = None if seconds is None else Timing(slices=[seconds])
    return Cost(option, 1, sees, parameters, 1000 * parameters, 1, 4 * parameters, 0, 0, timing, timing)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_bars_are_as_long_as_the_costs_are_to_the_first_options() -> None:
    costs = [cost(TWO_3X3, 800, 0.5), cost(BOTTLENECK_2, 200, 0.25), cost(BOTTLENECK_4, 40, 1.0)]
    figure = cost_bars_figure({"Bottlenecks": costs}, note="D = 8")
    [axes] = figure.axes
    widths = [[bar.get_width() for bar in bars] for bars in axes.containers]
    # Parameters, multiply-adds, both times, activations.
    assert widths == [[1, 1, 1, 1, 1], [0.25, 0.25, 0.5, 0.5, 0.25], [0.05, 0.05, 2.0, 2.0, 0.05]]
    assert {"800", "800 K", "500 ms", "3.20 kB", "× 0.25", "× 0.050", "× 2.00"} <= set(texts(figure))


def test_the_legend_says_what_each_option_sees() -> None:
    figure = cost_bars_figure({"A": [cost(ONE_7X7, 49), cost(THREE_3X3, 27)]}, note="")
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "one 7×7: sees 7 × 7, 1 non-linearity",
        "three 3×3: sees 7 × 7, 1 non-linearity",
    ]


@pytest.mark.parametrize("seconds", [None, 0.002])
def test_times_have_bars_only_if_they_were_measured(seconds: float | None) -> None:
    figure = cost_bars_figure({"A": [cost(ONE_7X7, 49, seconds), cost(THREE_3X3, 27, seconds)]}, note="")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ("time, training" in names) == (seconds is not None)
    assert ("2.000 ms" in texts(figure)) == (seconds is not None)


def test_every_comparison_has_its_panel(tmp_path: Path) -> None:
    comparisons = {"First": [cost(ONE_7X7, 49), cost(THREE_3X3, 27)], "Second": [cost(ONE_7X7, 4), cost(TWO_3X3, 2)]}
    plot_cost_bars(comparisons, tmp_path / "bars.png", note="D = 1")
    assert [axes.get_title(loc="left") for axes in cost_bars_figure(comparisons, note="").axes] == ["First", "Second"]
    with Image.open(tmp_path / "bars.png") as picture:
        assert picture.width > 2 * picture.height
