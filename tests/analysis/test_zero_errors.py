"""Learning curves of a data set that is learned without any error."""

import pytest
from matplotlib.axes import Axes

from convnets.plots.learning_curves import learning_curves_figure


def error_axes(*errors: float) -> Axes:
    """The panel of a run with these errors, in %, in training as on the validation split."""
    records = []
    for epoch, error in enumerate(errors, 1):
        common = {"step": epoch, "epoch": float(epoch), "loss": 0.5, "top1": 1 - error / 100}
        records.append({"kind": "train", **common, "learning_rate": 0.1})
        records.append({"kind": "evaluation", "split": "validation", **common})
    [axes] = (axes for axes in learning_curves_figure(records).axes if "error" in axes.get_title(loc="left"))
    return axes


@pytest.mark.parametrize(("last", "scale"), [(1.0, "log"), (0.0, "linear")])
def test_errors_over_a_wide_range_are_drawn_on_a_logarithmic_axis_unless_one_is_zero(last, scale):
    axes = error_axes(50.0, 10.0, 1.0, last)
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert low <= last and high >= 50
