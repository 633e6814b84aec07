"""How much each stage of a network knows of a data set, beside what training it reaches."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from convnets.plots import style

DASHES = ((0, (6, 2)), (0, (3, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (6, 2, 1, 2, 1, 2)))
"""One for each colour."""


def plot_accuracy_by_depth(
    stages: Sequence[str],
    accuracies: Mapping[str, Sequence[float]],
    path: Path,
    *,
    trained: Mapping[str, float] | None = None,
    title: str,
    note: str,
) -> Figure:
    """A line of the linear classifiers' accuracy over the maps, and a level for each trained network.

    Args:
      stages: names of the maps, in the order that an image meets them.
      accuracies: by the name of a network, of its maps, in [0, 1].
      trained: by what was trained, the accuracy that it reached.

    Raises:
      ValueError: more lines and levels together than there are colours.
    """
    levels = dict(sorted((trained or {}).items(), key=lambda pair: -pair[1]))
    if len(accuracies) + len(levels) > len(style.PALETTE):
        raise ValueError(
            f"There are {len(accuracies)} probed and {len(levels)} trained networks, and colours for "
            f"{len(style.PALETTE)} together: draw fewer of them."
        )
    look = {"title": title, "note": note, "x": "linear classifier on the features of", "y": "accuracy (%)"}
    figure, axes = style.new_plot(max(6.5, 1.0 * len(stages) + 3.5), 4.6, **look)
    places = range(len(stages))
    for (name, values), colour in zip(accuracies.items(), style.PALETTE, strict=False):
        percent = [100 * value for value in values]
        axes.plot(places, percent, "o-", color=colour, linewidth=2, markersize=6, label=f"probes: {name}")
    for (name, value), colour, dash in zip(levels.items(), style.PALETTE[len(accuracies) :], DASHES, strict=False):
        axes.axhline(100 * value, color=colour, linewidth=1.8, linestyle=dash, label=f"{name}: {value:.1%}")
    axes.set_xticks(list(places), list(stages), fontsize=style.SMALL_SIZE, color=style.INK)
    axes.margins(x=0.04, y=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), **style.LEGEND)
    return style.save(figure, path)
