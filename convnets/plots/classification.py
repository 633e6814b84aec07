"""What a classifier gets wrong, as pictures: the confusion matrix and its most confident mistakes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from convnets.plots import style

# Up to this many classes every cell has its count in it and every class its name on the axes.
MOST_CLASSES_WITH_TEXT = 20
MOST_TICKS = 40
# Above this many a class is narrower than a few pixels, and cells are drawn together.
MOST_CELLS = 250
LONGEST_NAME = 22

MOST_MISTAKES, COLUMNS = 40, 6
# Inches: an image's side, and what stands between, below, above and under all of them.
SIDE, GAP, CAPTION, HEADER, FOOTER = 1.5, 0.2, 0.65, 0.5, 0.35
LONGEST_CAPTION = 24
PREDICTED, TRUE = style.VERMILION, style.BLUE


def plot_confusion_matrix(matrix: np.ndarray, classes: Sequence[str], path: Path) -> Figure:
    """The confusion matrix, coloured by the part of each true class, and the accuracy of each class.

    Up to 20 classes the counts stand in the cells (zeros are left out). The colour scale is a square root: a confusion
    of one in a hundred would be white on a linear one. Above 250 classes neighbouring cells are drawn as one, in the
    colour of the largest.

    Args:
      matrix: counts `[C, C]`; the row is the true class, the column the predicted one. A class without examples has an
        empty row and no accuracy.
      classes: the C names.
    """
    count = len(classes)
    totals = matrix.sum(axis=1)
    parts = matrix / np.maximum(totals, 1)[:, None]
    accuracies = np.where(totals > 0, np.diagonal(parts), np.nan)
    with_text = count <= MOST_CLASSES_WITH_TEXT
    block = -(-count // MOST_CELLS)

    side = min(max(3.6, 0.58 * count + 1.0), 9.0)
    figure = style.new_figure(side + 3.1, side + 1.5)
    axes, bars = figure.subplots(1, 2, sharey=True, width_ratios=(side, 1.35))
    examples = int(totals.sum())
    top1 = f", top-1 accuracy {100 * np.trace(matrix) / examples:.2f} %" if examples else ""
    together = f", the largest of {block} × {block} cells" if block > 1 else ""
    note = f"{examples:,} examples{top1}\ncolour: part of the true class{together}"
    style.dress(axes, title="Confusion matrix", note=note, x="predicted class", y="true class", grid=False)
    # The largest cell of each `block` x `block`.
    padded = np.pad(parts, (0, -count % block))
    blocks = len(padded) // block
    cells = padded.reshape(blocks, block, blocks, block).max(axis=(1, 3))
    end = len(padded) - 0.5
    axes.imshow(
        cells,
        extent=(-0.5, end, end, -0.5),
        cmap="Blues",
        norm=PowerNorm(0.5, vmin=0.0, vmax=1.0),
        aspect="auto",
        interpolation="nearest",
    )
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    _name_the_axes(axes, classes)
    if with_text:
        for row, column in np.argwhere(matrix > 0):
            look = {"color": style.PAPER if parts[row, column] > 0.3 else style.INK, "fontsize": style.SMALL_SIZE}
            look |= {"ha": "center", "va": "center", "fontweight": "bold" if row == column else "normal"}
            axes.text(column, row, f"{matrix[row, column]:,}", **look)
    _draw_accuracies(bars, accuracies, with_text=with_text)
    return style.save(figure, path)


def _name_the_axes(axes: Axes, classes: Sequence[str]) -> None:
    step = -(-len(classes) // MOST_TICKS)
    ticks = range(0, len(classes), step)
    names = [style.label(classes[i], LONGEST_NAME) for i in ticks]
    slanted = len(ticks) <= MOST_CLASSES_WITH_TEXT
    axes.set_xticks(ticks, names, rotation=45 if slanted else 90)
    if slanted:
        for label in axes.get_xticklabels():
            label.set(ha="right", va="top", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0 if len(classes) <= MOST_CLASSES_WITH_TEXT else 3)


def _draw_accuracies(bars: Axes, accuracies: np.ndarray, *, with_text: bool) -> None:
    mean = float(np.nanmean(accuracies)) if np.isfinite(accuracies).any() else 0.0
    style.dress(bars, title="Accuracy", note=f"mean {100 * mean:.2f} %\n", grid=False)
    if with_text:
        texts = ["no examples" if np.isnan(accuracy) else f"{100 * accuracy:.1f} %" for accuracy in accuracies]
        style.draw_bars(bars, accuracies, texts)
    else:
        edges = np.arange(len(accuracies) + 1) - 0.5
        bars.stairs(np.nan_to_num(accuracies), edges, orientation="horizontal", fill=True, color=style.BLUE)
        bars.axvline(mean, color=style.VERMILION, linewidth=1.2)
        bars.set_xticks([0.0, 0.5, 1.0], ["0", "50", "100 %"])
    bars.set_xlim(0.0, 1.0)
    bars.tick_params(axis="y", length=0, labelleft=False)


def plot_mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    probabilities: np.ndarray,
    indices: np.ndarray,
    classes: Sequence[str],
    path: Path,
) -> Figure:
    """A sheet of the first 40 mistakes: each image with the predicted class, the true class and its index below it.

    Images are enlarged without smoothing. The heading says how many mistakes were given; without one the figure says
    so.

    Args:
      images: `[N, H, W, C]` uint8 with C = 1 (grey) or 3 (RGB), in the order to be shown: most confident first.
      labels, predicted: `[N]` int, the true and the predicted classes.
      probabilities: `[N]` float in [0, 1], of the predicted classes.
      indices: `[N]` int, the examples' places in their source.
      classes: the names that labels index.
    """
    count = len(labels)
    if count == 0:
        figure = style.new_figure(7.0, 2.2)
        figure.suptitle("No mistakes: every example was classified correctly.", y=0.5, color=style.INK)
        return style.save(figure, path)
    shown = min(count, MOST_MISTAKES)
    columns = max(min(shown, COLUMNS), 3)
    rows = -(-shown // columns)
    width, height = columns * (SIDE + GAP) + GAP, rows * (SIDE + CAPTION) + HEADER + FOOTER
    # By hand, since a wide caption must not shrink the images.
    figure = style.new_figure(width, height, constrained=False)
    figure.subplots_adjust(left=GAP / width, right=1 - GAP / width, wspace=GAP / SIDE, hspace=CAPTION / SIDE)
    figure.subplots_adjust(top=1 - HEADER / height, bottom=(FOOTER + CAPTION) / height)
    some = f"The {shown} most confident mistakes" if shown > 1 else "The most confident mistake"
    title = some + (f" (of {count:,})" if shown < count else "")
    heading = figure.suptitle(title, x=GAP / width, y=1 - 0.15 / height, ha="left", color=style.INK)
    heading.set(fontsize=style.TITLE_SIZE + 1, fontweight="bold")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, label, guess, probability, index in zip(
        grid[:shown], images, labels, predicted, probabilities, indices, strict=False
    ):
        style.show(axes, image)
        share = f" ({100 * float(probability):.1f} %)"
        lines = (
            (style.shorten(classes[int(guess)], LONGEST_CAPTION - len(share)) + share, PREDICTED),
            (style.shorten(classes[int(label)], LONGEST_CAPTION), TRUE),
            (f"#{int(index)}", style.MUTED),
        )
        for place, (text, colour) in enumerate(lines):
            style.write(axes, text, (0, 0), (0, -8 - 13 * place), xycoords="axes fraction", color=colour)
    colours = {"predicted class (its probability)": PREDICTED, "true class": TRUE, "#index": style.MUTED}
    style.legend_below(figure, [Patch(color=colour, label=name) for name, colour in colours.items()])
    return style.save(figure, path)
