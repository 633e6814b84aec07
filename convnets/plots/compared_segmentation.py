"""What several networks say of the same pixels, as one picture: a row for each image, a column for each network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from convnets.data.label_map import IGNORED
from convnets.plots import style
from convnets.plots.segmentation import coloured, legend_of_classes, values_in

# Inches: a picture's width, and what stands around the pictures.
SIDE, FOOTER = 1.7, 0.9


def plot_compared_segmentations(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    said: Mapping[str, Sequence[np.ndarray]],
    classes: Sequence[str],
    path: Path,
) -> None:
    """Draws `compared_segmentations_figure` and writes it to `path` (PNG, atomically)."""
    style.save(compared_segmentations_figure(images, truths, said, classes), path)


def compared_segmentations_figure(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    said: Mapping[str, Sequence[np.ndarray]],
    classes: Sequence[str],
) -> Figure:
    """For each example its image, the truth, and the classes by each network with its pixel accuracy.

    Args:
      images: uint8 `[H, W, 1 or 3]` each.
      truths: `[H, W]` each, values of `classes` or `IGNORED`, which is left white.
      said: by the name of a network what it says of each image, `[H, W]`.
    """
    figure = style.new_figure((2 + len(said)) * SIDE + 0.3, len(images) * (SIDE + 0.28) + FOOTER)
    grid = figure.subplots(len(images), 2 + len(said), squeeze=False)
    for row, (image, truth, *masks) in zip(grid, zip(images, truths, *said.values(), strict=True), strict=True):
        counted = truth != IGNORED
        titles = ["image", "truth"]
        for name, mask in zip(said, masks, strict=True):
            share = f"{np.mean(mask[counted] == truth[counted]):.1%}" if counted.any() else "no labels"
            titles.append(f"{style.shorten(name, 14)}: {share}")
        shown = [np.broadcast_to(image, (*image.shape[:2], 3)), *(coloured(mask, counted) for mask in (truth, *masks))]
        for axes, picture, title in zip(row, shown, titles, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(style.literal(title), fontsize=style.SMALL_SIZE, color=style.MUTED, pad=3)
    present = values_in([*truths, *(mask for masks in said.values() for mask in masks)])
    legend_of_classes(figure, present, classes)
    return figure
