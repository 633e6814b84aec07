"""Where a network says that things are, as pictures: boxes on the images, and how many of them are found."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image, ImageDraw, ImageFont

from convnets.plots import style

# Inches: a picture's width on the sheet, and what stands around the pictures.
SIDE, HEADER, FOOTER = 1.75, 0.35, 0.4
COLUMNS = 6
TALLEST = 1.5
"""Height over width of the room for a picture, at the most."""
LONGEST_NAME = 16
TRUE, PREDICTED = "#00C853", "#FF1744"
"""Truth green, prediction red, both bright enough for dark images; a dash sets them apart where colours don't."""
DASHES = (0, (4, 2))


@dataclass(frozen=True)
class Shown:
    """An image with K objects.

    Attributes:
      image: uint8 `[H, W, 1 or 3]`.
      labels: of the true classes, `[K]`; -1 where none is known.
      guesses: the likeliest classes, `[K]`.
      probabilities: theirs, `[K]`.
      true, predicted: boxes `[K, 4]` (y0, x0, y1, x1) in pixels; empty ones are not drawn.
      overlaps: intersection over union of each pair, `[K]`; NaN without a true box.
    """

    image: np.ndarray
    labels: np.ndarray
    guesses: np.ndarray
    probabilities: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    overlaps: np.ndarray


def plot_localizations(examples: Sequence[Shown], classes: Sequence[str], path: Path) -> Figure:
    """Each image with its true boxes in green and its predicted ones in red.

    Beside a predicted box stands its intersection over union with the true one; above the image the predicted class of
    the first object, and the true one where that is another.
    """
    columns = min(COLUMNS, len(examples))
    rows = -(-len(examples) // columns)
    tallest = SIDE * min(max(one.image.shape[0] / one.image.shape[1] for one in examples), TALLEST)
    figure = style.new_figure(columns * SIDE + 0.4, HEADER + rows * (tallest + 0.42) + FOOTER)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, one in zip(grid.flat, examples, strict=False):
        style.show(axes, one.image, _title(one, classes), fontsize=style.SMALL_SIZE - 1, color=style.INK)
        for box in one.true:
            style.draw_box(axes, box, TRUE, linewidth=1.6)
        for box, overlap in zip(one.predicted, one.overlaps, strict=True):
            style.draw_box(axes, box, PREDICTED, linewidth=1.6, linestyle=DASHES)
            if np.isfinite(overlap):
                # Below the box, or within it where it reaches down to the edge.
                below = box[2] < 0.88 * one.image.shape[0]
                style.write(
                    axes,
                    f"{overlap:.2f}",
                    (float(box[1]) - 0.5, float(box[2])),
                    (0, -1 if below else 1),
                    va="top" if below else "bottom",
                    fontsize=style.SMALL_SIZE - 2,
                    color=style.PAPER,
                    bbox={"facecolor": PREDICTED, "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
                )
    handles = [
        Line2D([], [], color=TRUE, label="truth"),
        Line2D([], [], color=PREDICTED, linestyle=DASHES, label="prediction, with its intersection over union"),
    ]
    style.legend_below(figure, handles, size=style.SMALL_SIZE)
    return style.save(figure, path)


def _title(one: Shown, classes: Sequence[str]) -> str:
    """What is said of the first object, and what is true."""
    guess, label = int(one.guesses[0]), int(one.labels[0])
    true = "" if label in (guess, -1) else f"true: {style.shorten(classes[label], LONGEST_NAME)}"
    return f"{style.shorten(classes[guess], LONGEST_NAME)} {one.probabilities[0]:.0%}\n{true}"


def plot_accuracy_by_iou(counts: np.ndarray, path: Path) -> Figure:
    """The share of boxes whose intersection over union is at least so large, over all thresholds.

    Args:
      counts: boxes by their intersection over union, `[bins]` of equal width from 0 to 1.
    """
    shares = np.append(np.cumsum(counts[::-1])[::-1], 0) / max(float(np.sum(counts)), 1.0)
    thresholds = np.linspace(0, 1, len(shares))
    half = float(np.interp(0.5, thresholds, shares))
    figure, axes = style.new_plot(
        6.5,
        3.4,
        title="Boxes found",
        note=f"of {int(np.sum(counts)):,}, by the intersection over union that is asked for",
        x="intersection over union, at least",
        y="share of the boxes",
    )
    axes.plot(thresholds, shares, color=style.BLUE)
    axes.plot([0.5], [half], color=style.BLUE, marker="o")
    style.write(axes, f"{100 * half:.1f} % at 0.5", (0.5, half), (-6, -12), ha="right")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return style.save(figure, path)


def boxes_png(pixels: np.ndarray, objects: Sequence[Mapping[str, Any]]) -> bytes:
    """A picture, uint8 `[H, W, 3]`, as a PNG with the box, class and probability of each object on it."""
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    short = min(picture.size)
    line, font = max(1, round(short / 120)), ImageFont.load_default(max(10.0, short / 24))
    for one in objects:
        y0, x0, y1, x1 = one["box"]
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=PREDICTED, width=line)
        text = f"{one['class']} {one['probability']:.0%}"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        # Above the box, or within it where there is no room; never over the picture's right edge.
        height = bottom - top + 4
        y, x = (y0 - height if y0 >= height else y0), max(0, min(x0, picture.width - (right - left) - 4))
        draw.rectangle((x, y, x + right - left + 4, y + height), fill=PREDICTED)
        draw.text((x + 2 - left, y + 2 - top), text, fill="white", font=font)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
