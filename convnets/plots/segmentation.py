"""What a network says of pixels, as pictures: input, truth and predictions side by side, and the IU of each class."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from convnets.data.label_map import IGNORED
from convnets.evaluation.metrics import WIDTHS, measures
from convnets.plots import style

# Inches: a picture's width on the sheet, and what stands around the pictures.
SIDE, HEADER, FOOTER = 1.7, 0.75, 0.3
TALLEST = 1.5
"""Height over width of the room for a picture, at the most."""
MOST_COLUMNS = 6
LONGEST_NAME, LONGEST_TITLE = 22, 14
MOST_IN_LEGEND = 24

OPACITY = 0.6
"""Of the colours over an image."""


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
            style.show(axes, np.where(counted[..., None], class_colours()[mask], np.uint8(255)), title)
    handles = [
        Patch(color=class_colours()[value] / 255, label=style.label(classes[value], LONGEST_NAME)) for value in present
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
    note = (
        f"mean IU {100 * found.mean_iu:.2f} %   frequency weighted {100 * found.frequency_weighted_iu:.2f} %   "
        f"pixel accuracy {100 * found.pixel_accuracy:.2f} %   mean accuracy {100 * found.mean_accuracy:.2f} %"
    )
    height = 1.3 + 0.3 * len(classes)
    figure, axes = style.new_plot(7.5, height, title="Intersection over union", note=note, grid=False)
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
    values = [measures(confusion[: number + 1].sum(0)).mean_iu for number in range(len(confusion))]
    note = "of the pixels up to a distance from where the classes meet"
    figure, axes = style.new_plot(7.5, 3.2, title="Mean IU near boundaries", note=note, x="distance, pixels")
    axes.plot(range(len(WIDTHS)), values[:-1], color=style.BLUE, marker="o")
    axes.plot(len(WIDTHS), values[-1], color=style.BLUE, marker="o", linestyle="none")
    for place, value in enumerate(values):
        style.write(axes, f"{100 * value:.1f} %", (place, value), (0, 10), ha="center")
    axes.set_xticks(range(len(WIDTHS) + 1), [*map(str, WIDTHS), "all"])
    axes.set(ylim=(0, 1), xlim=(-0.4, len(WIDTHS) + 0.4))
    return style.save(figure, path)


def class_colours() -> np.ndarray:
    """PASCAL VOC's red, green and blue of the mask values 0 to 255, uint8 `[256, 3]`.

    The bits of a value go, three at a time, to the highest bits that are left of the three colours. 0 is black, 255
    (ignored) nearly white.

    >>> class_colours()[[0, 1, 15, 255]].tolist()
    [[0, 0, 0], [128, 0, 0], [192, 128, 128], [224, 224, 192]]
    """
    values = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for colour in range(3):
            colours[:, colour] |= ((values >> (3 * bit + colour) & 1) << (7 - bit)).astype(np.uint8)
    return colours


def index_png(mask: np.ndarray) -> bytes:
    """A mask `[H, W]` of values 0 to 255 as a PNG of these values, with the classes' colours as its palette."""
    picture = Image.fromarray(mask.astype(np.uint8), mode="P")
    picture.putpalette(class_colours().ravel().tolist())
    return _png(picture)


def overlay_png(image: np.ndarray, mask: np.ndarray) -> bytes:
    """An image, uint8 `[H, W, 1 or 3]`, as a PNG with the colours of its mask over it; class 0, the ground, stays."""
    picture = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float32)
    mixed = (1 - OPACITY) * picture + OPACITY * class_colours()[mask]
    return _png(Image.fromarray(np.where((mask == 0)[..., None], picture, mixed).round().astype(np.uint8)))


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
