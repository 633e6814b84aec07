"""The plot of accuracy by depth: everything that it is given is in it, or it refuses."""

import pytest

from convnets.plots import style
from convnets.plots.accuracy_by_depth import accuracy_by_depth_figure

STAGES = ("conv1", "conv2")


def figure(probed: int, trained: int):
    return accuracy_by_depth_figure(
        STAGES,
        {f"network {number}": (0.5, 0.75) for number in range(probed)},
        trained={f"way {number}": number / 10 for number in range(trained)},
        title="Transfer",
        note="",
    )


@pytest.mark.parametrize("probed", range(6))
def test_every_network_has_a_colour_a_line_and_a_place_in_the_legend(probed):
    [axes] = figure(probed, 5 - probed).axes
    assert {line.get_color() for line in axes.lines} == set(style.PALETTE)
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    # The levels from the highest down, as they stand in the plot.
    levels = [f"way {number}: {10 * number:.1f}%" for number in reversed(range(5 - probed))]
    assert said == [f"probes: network {number}" for number in range(probed)] + levels
    assert len({line.get_linestyle() + str(line._dash_pattern) for line in axes.lines[probed:]}) == 5 - probed


@pytest.mark.parametrize(("probed", "trained"), [(1, 5), (6, 0), (0, 6)])
def test_more_networks_than_colours_are_refused_and_not_left_out(probed, trained):
    with pytest.raises(ValueError, match=f"{probed} probed and {trained} trained networks, and colours for 5"):
        figure(probed, trained)
