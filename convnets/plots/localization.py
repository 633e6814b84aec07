"""Where a network says that things are, as pictures: boxes on the images, and how many of them are found."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
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


def plot_localizations(examples: Sequence[Shown], classes: Sequence[str], path: Path) -> None:
    """Draws `localizations_figure` and writes it to `path` (PNG, atomically)."""
    style.save(localizations_figure(examples, classes), path)


def localizations_figure(examples: Sequence[Shown], classes: Sequence[str]) -> Figure:
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
        axes.imshow(np.broadcast_to(one.image, (*one.image.shape[:2], 3)), interpolation="nearest")
        for box in one.true:
            _draw(axes, box, TRUE, "-")
        for box, overlap in zip(one.predicted, one.overlaps, strict=True):
            _draw(axes, box, PREDICTED, (0, (4, 2)))
            if np.isfinite(overlap):
                _write(axes, box, f"{overlap:.2f}", one.image.shape[0])
        axes.set_title(
            style.literal("\n".join(_title(one, classes))), fontsize=style.SMALL_SIZE - 1, color=style.INK, pad=3
        )
    handles = [
        Line2D([], [], color=TRUE, label="truth"),
        Line2D([], [], color=PREDICTED, linestyle=(0, (4, 2)), label="prediction, with its intersection over union"),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=style.SMALL_SIZE,
        labelcolor=style.INK,
    )
    return figure


def _title(one: Shown, classes: Sequence[str]) -> tuple[str, str]:
    """What is said of the first object, and what is true."""
    guess, label = int(one.guesses[0]), int(one.labels[0])
    said = f"{style.shorten(classes[guess], LONGEST_NAME)} {one.probabilities[0]:.0%}"
    if label in (guess, -1):
        return said, ""
    return said, f"true: {style.shorten(classes[label], LONGEST_NAME)}"


def _draw(axes: Axes, box: np.ndarray, colour: str, dashes: object) -> None:
    y0, x0, y1, x1 = (float(edge) for edge in box)
    if y1 > y0 and x1 > x0:
        # Pixel (0, 0) is drawn around the point (0, 0).
        axes.add_patch(
            Rectangle(
                (x0 - 0.5, y0 - 0.5),
                x1 - x0,
                y1 - y0,
                fill=False,
                edgecolor=colour,
                linewidth=1.6,
                linestyle=dashes,
            )
        )


def _write(axes: Axes, box: np.ndarray, text: str, height: int) -> None:
    """Below the box, or within it where it reaches down to the edge."""
    below = box[2] < 0.88 * height
    axes.text(
        float(box[1]) - 0.5,
        float(box[2]) + (0.01 * height if below else -0.02 * height),
        text,
        va="top" if below else "bottom",
        fontsize=style.SMALL_SIZE - 2,
        color=style.PAPER,
        bbox={"facecolor": PREDICTED, "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
    )


def plot_accuracy_by_iou(counts: np.ndarray, path: Path) -> None:
    """Draws `accuracy_by_iou_figure` and writes it to `path` (PNG, atomically)."""
    style.save(accuracy_by_iou_figure(counts), path)


def accuracy_by_iou_figure(counts: np.ndarray) -> Figure:
    """The share of boxes whose intersection over union is at least so large, over all thresholds.

    Args:
      counts: boxes by their intersection over union, `[bins]` of equal width from 0 to 1.
    """
    figure = style.new_figure(6.5, 3.4)
    axes = figure.subplots()
    total = max(float(np.sum(counts)), 1.0)
    shares = np.append(np.cumsum(counts[::-1])[::-1], 0) / total
    thresholds = np.linspace(0, 1, len(shares))
    half = float(np.interp(0.5, thresholds, shares))
    style.dress(
        axes,
        title="Boxes found",
        note=f"of {int(np.sum(counts)):,}, by the intersection over union that is asked for",
        x="intersection over union, at least",
        y="share of the boxes",
    )
    axes.plot(thresholds, shares, color=style.BLUE)
    axes.plot([0.5], [half], color=style.BLUE, marker="o")
    axes.annotate(
        f"{100 * half:.1f} % at 0.5",
        (0.5, half),
        (-6, -16),
        textcoords="offset points",
        ha="right",
        color=style.INK,
        fontsize=style.SMALL_SIZE,
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return figure


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
