"""What a network says of pixels, as pictures: input, truth and predictions side by side, and the IU of each class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from convnets.data.label_map import IGNORED
from convnets.evaluation.metrics import WIDTHS, measures
from convnets.plots import style
from convnets.plots.class_colours import class_colours, colour_mask

# Inches: a picture's width on the sheet, and what stands around the pictures.
SIDE, HEADER, FOOTER = 1.7, 0.75, 0.3
TALLEST = 1.5
"""Height over width of the room for a picture, at the most."""
MOST_COLUMNS = 6
LONGEST_NAME, LONGEST_TITLE = 22, 14
MOST_IN_LEGEND = 24


def plot_segmentations(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Mapping[str, Sequence[np.ndarray]],
    classes: Sequence[str],
    path: Path,
) -> Figure:
    """For each example its image, the true classes of its pixels and the predicted ones, with their pixel accuracy.

    Pixels without a label are left white in all.

    Args:
      images: uint8 `[H, W, 1 or 3]` each; their sizes may differ.
      truths: `[H, W]` each, values of `classes` or `IGNORED`.
      predictions: by the name of a network, or "prediction", its masks of all images, `[H, W]` each.
    """
    each = 2 + len(predictions)
    together = max(MOST_COLUMNS // each, 1)
    rows = -(-len(images) // together)
    seen = np.unique(np.concatenate([mask.ravel() for masks in (truths, *predictions.values()) for mask in masks]))
    present = [int(value) for value in seen if value != IGNORED][:MOST_IN_LEGEND]
    height = SIDE * min(max(image.shape[0] / image.shape[1] for image in images), TALLEST)
    around = HEADER + FOOTER + 0.22 * -(-len(present) // 6)
    figure = style.new_figure(each * together * SIDE + 0.6, rows * (height + 0.28) + around)
    grid = figure.subplots(rows, each * together, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    groups = grid.reshape(-1, each)
    for group, image, truth, *masks in zip(groups, images, truths, *predictions.values(), strict=False):
        counted = truth != IGNORED
        titles = ["truth"]
        for name, mask in zip(predictions, masks, strict=True):
            right = f"{np.mean(mask[counted] == truth[counted]):.1%}" if counted.any() else "no labels"
            titles.append(f"{style.shorten(name, LONGEST_TITLE)}: {right}")
        style.show(group[0], image, "image")
        for axes, mask, title in zip(group[1:], (truth, *masks), titles, strict=True):
            style.show(axes, np.where(counted[..., None], colour_mask(mask), np.uint8(255)), title)
    handles = [
        Patch(color=class_colours()[value] / 255, label=style.literal(style.shorten(classes[value], LONGEST_NAME)))
        for value in present
    ]
    style.legend_below(figure, handles, columns=6, size=style.SMALL_SIZE)
    return style.save(figure, path)


def plot_class_iu(confusion: np.ndarray, classes: Sequence[str], path: Path) -> Figure:
    """The table of intersection over union of each class, with its share of the pixels, as bars.

    Args:
      confusion: counts `[C, C]`, rows the true classes.
    """
    found = measures(confusion)
    shares = confusion.sum(axis=1) / max(confusion.sum(), 1)
    figure = style.new_figure(7.5, 1.3 + 0.3 * len(classes))
    axes = figure.subplots()
    note = (
        f"mean IU {100 * found.mean_iu:.2f} %   frequency weighted {100 * found.frequency_weighted_iu:.2f} %   "
        f"pixel accuracy {100 * found.pixel_accuracy:.2f} %   mean accuracy {100 * found.mean_accuracy:.2f} %"
    )
    style.dress(axes, title="Intersection over union", note=note, grid=False)
    texts = ["neither there nor predicted" if np.isnan(iu) else f"{100 * iu:.1f} %" for iu in found.class_iu]
    style.draw_bars(axes, found.class_iu, texts, names=[style.shorten(name, LONGEST_NAME) for name in classes])
    for row, share in enumerate(shares):
        style.write(axes, f"{100 * share:.1f} % of the pixels", (1.02, row), color=style.MUTED)
    axes.set_xlim(0, 1.28)
    return style.save(figure, path)


def plot_boundary_iu(confusion: np.ndarray, path: Path) -> Figure:
    """The mean IU of the pixels up to each distance from the boundaries, and of all pixels.

    Args:
      confusion: counts of each band `[bands, C, C]`, as `evaluation.boundaries` makes them.
    """
    figure = style.new_figure(7.5, 3.2)
    axes = figure.subplots()
    values = [measures(confusion[: number + 1].sum(0)).mean_iu for number in range(len(confusion))]
    note = "of the pixels up to a distance from where the classes meet"
    style.dress(axes, title="Mean IU near boundaries", note=note, x="distance, pixels")
    axes.plot(range(len(WIDTHS)), values[:-1], color=style.BLUE, marker="o")
    axes.plot(len(WIDTHS), values[-1], color=style.BLUE, marker="o", linestyle="none")
    for place, value in enumerate(values):
        style.write(axes, f"{100 * value:.1f} %", (place, value), (0, 10), ha="center")
    axes.set_xticks(range(len(WIDTHS) + 1), [*map(str, WIDTHS), "all"])
    axes.set(ylim=(0, 1), xlim=(-0.4, len(WIDTHS) + 0.4))
    return style.save(figure, path)
