"""The picture of efficiency against devices."""

from dataclasses import replace

import pytest

from convnets.analysis.interconnects import MACHINES
from convnets.analysis.scaling import StepTraffic, Work, weak_scaling
from convnets.plots.scaling_picture import scaling_figure

WORK = Work("resnet50", 3_857_973_248, StepTraffic(4 * 25_557_032, (256,) * 212, (4, 4)))


def test_each_machine_has_a_panel_with_the_bounds_of_each_network():
    machines = {name: MACHINES[name] for name in ("dgx-h100", "tpu-v5e")}
    curves = {
        name: {
            work: weak_scaling(work, one, (1, 8, 1024), 64, 5000.0) for work in (WORK, replace(WORK, norms_apart=True))
        }
        for name, one in machines.items()
    }
    figure = scaling_figure(machines, curves, curves, batch=64, global_batch=512, note="by hand")
    above, below = figure.axes[:2], figure.axes[2:]
    assert len(above) == len(below) == 2
    for axes, name in zip(above, machines, strict=True):
        low, high, *others = axes.lines
        assert [line.is_dashed() for line in others] == [True, True]
        points = curves[name][WORK]
        assert list(low.get_xdata()) == [point.devices for point in points]
        assert list(low.get_ydata()) == pytest.approx([point.time.efficiency_without_overlap for point in points])
        assert all(high.get_ydata() >= low.get_ydata())
    assert list(above[1].lines[0].get_xdata()) == [1, 8], "a pod ends at 256"
    assert "64 images a device" in above[0].texts[0].get_text()
    assert "512 images in all" in below[0].texts[0].get_text()
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ResNet-50", "ResNet-50, norms of each device"]
