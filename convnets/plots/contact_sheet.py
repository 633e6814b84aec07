"""A contact sheet of augmentation: a row for each training image, a column for each draw, boxes and masks on top."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from convnets.data.label_map import IGNORED
from convnets.plots import style

MASK_OPACITY = 0.45
# Inches.
CELL = 1.35
CAPTION = 0.28
MIXED_CAPTION = 0.45
HEADER = 0.75


def plot_contact_sheet(
    originals: Mapping[str, np.ndarray],
    draws: Sequence[Mapping[str, np.ndarray]],
    classes: Sequence[str],
    title: str,
    path: Path,
) -> Figure:
    """The originals in the first column, and beside each what every draw makes of it.

    Args:
      originals: a batch: `image [N, H, W, C]` float in [0, 1] and, as the data have them, `label [N]`,
        `boxes [N, K, 4]` and `mask [N, H, W]`.
      draws: batches of the same examples; images may have another size. Mixed ones have `labels` and `label_shares`.
      classes: their names.
      title: above the sheet.
    """
    rows, columns = len(originals["image"]), len(draws) + 1
    tallest = max(batch["image"].shape[1] / batch["image"].shape[2] for batch in (originals, *draws))
    caption = MIXED_CAPTION if any("labels" in batch for batch in draws) else CAPTION
    width, height = CELL * columns + 0.2, (CELL * tallest + caption) * rows + HEADER
    # The automatic layout takes minutes for a thousand pictures.
    figure = style.new_figure(width, height, constrained=False)
    figure.subplots_adjust(left=0.1 / width, right=1 - 0.1 / width, bottom=caption / height, top=1 - HEADER / height)
    figure.subplots_adjust(wspace=0.06, hspace=caption / (CELL * tallest))
    figure.suptitle(style.literal(title), x=0.1 / width, ha="left", fontsize=style.TITLE_SIZE, fontweight="bold")
    grid = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column, batch in enumerate((originals, *draws)):
            axes = grid[row, column]
            example = {name: np.asarray(values[row]) for name, values in batch.items()}
            _draw(axes, example)
            label = _label(example, classes) if column == 0 or "labels" in example else ""
            axes.set_xlabel(style.literal(label), fontsize=7.5, color=style.MUTED, labelpad=2)
    for column in range(columns):
        head = "original" if column == 0 else f"epoch {column - 1}"
        grid[0, column].set_title(head, fontsize=style.SMALL_SIZE, color=style.MUTED, pad=4)
    return style.save(figure, path)


def _draw(axes: Axes, example: Mapping[str, Any]) -> None:
    image = np.clip(example["image"], 0, 1)
    image = image[..., :3] if image.shape[-1] in (3, 4) else np.repeat(image[..., :1], 3, axis=-1)
    if "mask" in example:
        image = _with_mask(image, example["mask"])
    axes.imshow(image, interpolation="nearest")
    for number, box in enumerate(example.get("boxes", ())):
        style.draw_box(axes, box, style.PALETTE[number % len(style.PALETTE)], linewidth=1.4)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(style.GRID)


def _with_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Labels above 0 in the palette's colours, ignored pixels in grey."""
    colours = np.array([to_rgb(colour) for colour in style.PALETTE])
    tint = np.where((mask == IGNORED)[..., None], 0.5, colours[(mask - 1) % len(colours)])
    shown = (mask > 0)[..., None]
    return np.where(shown, (1 - MASK_OPACITY) * image + MASK_OPACITY * tint, image)


def _label(example: Mapping[str, Any], classes: Sequence[str]) -> str:
    if "labels" in example:
        shares: dict[int, float] = {}
        for label, share in zip(example["labels"], example["label_shares"], strict=True):
            shares[int(label)] = shares.get(int(label), 0.0) + float(share)
        named = sorted(shares.items(), key=lambda item: -item[1])
        lines = [f"{share:.0%} {style.shorten(classes[label], 12)}" for label, share in named if share >= 0.005]
        return "\n".join(lines[:2])
    return style.shorten(classes[int(example["label"])], 16) if "label" in example else ""
