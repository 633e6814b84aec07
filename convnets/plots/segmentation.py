"""What a network says of pixels, as pictures: input, truth and prediction side by side, and the IU of each class."""

from collections.abc import Sequence
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
PAIRS = 2
"""Examples side by side."""
LONGEST_NAME = 22
MOST_IN_LEGEND = 24
COLUMN_TITLES = ("image", "truth", "prediction")


def plot_segmentations(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    classes: Sequence[str],
    path: Path,
) -> None:
    """Draws `segmentations_figure` and writes it to `path` (PNG, atomically)."""
    style.save(segmentations_figure(images, truths, predictions, classes), path)


def segmentations_figure(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    classes: Sequence[str],
) -> Figure:
    """For each example its image, the true classes of its pixels and the predicted ones, with its pixel accuracy.

    Pixels without a label are left white in both.

    Args:
      images: uint8 `[H, W, 1 or 3]` each; their sizes may differ.
      truths, predictions: `[H, W]`, values of `classes`; the truth may have `IGNORED`.
    """
    rows = -(-len(images) // PAIRS)
    present = values_in([*truths, *predictions])
    legend_rows = -(-min(len(present), MOST_IN_LEGEND) // 6)
    width = 3 * PAIRS * SIDE + 0.6
    height = SIDE * min(max(image.shape[0] / image.shape[1] for image in images), TALLEST)
    figure = style.new_figure(width, HEADER + rows * (height + 0.28) + FOOTER + 0.22 * legend_rows)
    grid = figure.subplots(rows, 3 * PAIRS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, (image, truth, prediction) in enumerate(zip(images, truths, predictions, strict=True)):
        row, left = place // PAIRS, 3 * (place % PAIRS)
        counted = truth != IGNORED
        accuracy = f"{np.mean(prediction[counted] == truth[counted]):.1%} right" if counted.any() else "no labels"
        shown = (
            np.broadcast_to(image, (*image.shape[:2], 3)),
            coloured(truth, counted),
            coloured(prediction, counted),
        )
        for axes, picture, title in zip(grid[row, left : left + 3], shown, COLUMN_TITLES, strict=True):
            axes.imshow(picture, interpolation="nearest")
            text = f"{title}: {accuracy}" if title == COLUMN_TITLES[-1] else title
            axes.set_title(text, fontsize=style.SMALL_SIZE, color=style.MUTED, pad=3)
    legend_of_classes(figure, present, classes)
    return figure


def values_in(masks: Sequence[np.ndarray]) -> list[int]:
    """The classes that there are in any of the masks, ascending."""
    seen = np.unique(np.concatenate([mask.ravel() for mask in masks]))
    return [int(value) for value in seen if value != IGNORED]


def legend_of_classes(figure: Figure, present: Sequence[int], classes: Sequence[str]) -> None:
    """Names the colours below the pictures."""
    handles = [
        Patch(color=class_colours()[value] / 255, label=style.literal(style.shorten(classes[value], LONGEST_NAME)))
        for value in present[:MOST_IN_LEGEND]
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 6),
        frameon=False,
        fontsize=style.SMALL_SIZE,
        labelcolor=style.INK,
    )


def coloured(mask: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """The mask in the colours of the classes, white where a pixel doesn't count."""
    return np.where(counted[..., None], colour_mask(mask), np.uint8(255))


def plot_class_iu(confusion: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Draws `class_iu_figure` and writes it to `path` (PNG, atomically)."""
    style.save(class_iu_figure(confusion, classes), path)


def class_iu_figure(confusion: np.ndarray, classes: Sequence[str]) -> Figure:
    """The table of intersection over union of each class, with its share of the pixels, as bars.

    Args:
      confusion: counts `[C, C]`, rows the true classes.
    """
    found = measures(confusion)
    known = np.nan_to_num(found.class_iu)
    shares = confusion.sum(axis=1) / max(confusion.sum(), 1)
    figure = style.new_figure(7.5, 1.3 + 0.3 * len(classes))
    axes = figure.subplots()
    note = (
        f"mean IU {100 * found.mean_iu:.2f} %   frequency weighted {100 * found.frequency_weighted_iu:.2f} %   "
        f"pixel accuracy {100 * found.pixel_accuracy:.2f} %   mean accuracy {100 * found.mean_accuracy:.2f} %"
    )
    style.dress(axes, title="Intersection over union", note=note, grid=False)
    axes.barh(np.arange(len(classes)), known, height=0.72, color=style.BLUE)
    for row, (iu, share) in enumerate(zip(found.class_iu, shares, strict=True)):
        text = "neither there nor predicted" if np.isnan(iu) else f"{100 * iu:.1f} %"
        inside = known[row] > 0.5
        axes.text(
            known[row] - 0.012 if inside else known[row] + 0.012,
            row,
            text,
            va="center",
            ha="right" if inside else "left",
            fontsize=style.SMALL_SIZE,
            color=style.PAPER if inside else style.INK,
        )
        axes.text(
            1.02, row, f"{100 * share:.1f} % of the pixels", va="center", fontsize=style.SMALL_SIZE, color=style.MUTED
        )
    names = [style.literal(style.shorten(name, LONGEST_NAME)) for name in classes]
    axes.set_yticks(range(len(classes)), names)
    axes.set(xlim=(0, 1.28), ylim=(len(classes) - 0.5, -0.5), xticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def plot_boundary_iu(confusion: np.ndarray, path: Path) -> None:
    """Draws `boundary_iu_figure` and writes it to `path` (PNG, atomically)."""
    style.save(boundary_iu_figure(confusion), path)


def boundary_iu_figure(confusion: np.ndarray) -> Figure:
    """The mean IU of the pixels up to each distance from the boundaries, and of all pixels.

    Args:
      confusion: counts of each band `[bands, C, C]`, as `evaluation.boundaries` makes them.
    """
    figure = style.new_figure(7.5, 3.2)
    axes = figure.subplots()
    values = [measures(confusion[: number + 1].sum(0)).mean_iu for number in range(len(confusion))]
    names = [*map(str, WIDTHS), "all"]
    style.dress(
        axes, title="Mean IU near boundaries", note="of the pixels up to a distance from where the classes meet"
    )
    axes.plot(range(len(WIDTHS)), values[:-1], color=style.BLUE, marker="o")
    axes.plot(len(WIDTHS), values[-1], color=style.BLUE, marker="o", linestyle="none")
    for place, value in enumerate(values):
        axes.annotate(
            f"{100 * value:.1f} %",
            (place, value),
            (0, 7),
            textcoords="offset points",
            ha="center",
            color=style.INK,
            fontsize=style.SMALL_SIZE,
        )
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="distance, pixels", ylim=(0, 1), xlim=(-0.4, len(WIDTHS) + 0.4))
    return figure
