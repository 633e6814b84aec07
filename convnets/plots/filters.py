"""Pictures of a convolution's filters, of the first layer above all, where they read as image patches."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from convnets.plots import style

MOST_FILTERS = 96
# Blank cells between neighbours, as a part of a filter's side.
GAP = 1 / 6
# A filter weaker than this part of the strongest is drawn weak: scaled up, a dead filter would look like noise.
WEAKEST = 0.1


def plot_filters(kernel: np.ndarray, path: Path, *, title: str = "Filters of the first layer") -> Figure:
    """A grid of the filters in `kernel`, at most the first 96, with a line above it that says how they are coloured.

    One input channel is drawn blue-white-red on one scale, symmetric about zero, common to all filters. Three are drawn
    as RGB with zero at mid-grey, each filter scaled by its own largest weight (weak ones stay weak). Other numbers of
    channels are averaged and drawn like one.

    Args:
      kernel: weights `[h, w, c, f]`, float. Non-finite weights are drawn as zero and counted in the line.
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    height, width, channels, count = kernel.shape
    broken = int(np.size(kernel) - np.isfinite(kernel).sum())
    kernel = np.where(np.isfinite(kernel), kernel, 0.0)[..., :MOST_FILTERS]
    colour = channels == 3
    tiles = _as_colours(kernel) if colour else kernel.mean(axis=2)
    shown = tiles.shape[-1]
    columns = _columns(shown, height / width)
    rows = math.ceil(shown / columns)
    mosaic = _mosaic(tiles, columns, rows)

    figure_width = 8.0 if columns >= 6 else 6.0
    picture_width = figure_width - (0.3 if colour else 1.3)
    picture_height = min(picture_width * mosaic.shape[0] / mosaic.shape[1], 14.0)
    note = _note(kernel.shape[:3], shown, count, broken)
    height = picture_height + (0.7 if colour else 0.9)
    figure, axes = style.new_plot(figure_width, height, title=title, note=note, grid=False)
    axes.set_axis_off()
    if colour:
        axes.imshow(mosaic, interpolation="nearest")
    else:
        largest = float(np.abs(tiles).max()) or 1.0
        drawn = axes.imshow(mosaic, interpolation="nearest", cmap="RdBu_r", vmin=-largest, vmax=largest)
        bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02, aspect=30)
        bar.ax.tick_params(labelsize=style.SMALL_SIZE, colors=style.MUTED, labelcolor=style.INK, length=3)
        bar.outline.set_visible(False)  # matplotlib types `outline` as an axes
    return style.save(figure, path)


def _as_colours(kernel: np.ndarray) -> np.ndarray:
    """`[h, w, 3, f]` weights to `[h, w, 3, f]` colours in [0, 1], zero at mid-grey."""
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    scale = np.maximum(largest, WEAKEST * largest.max())
    return 0.5 + 0.5 * kernel / np.where(scale > 0, scale, 1.0)


def _columns(count: int, aspect: float) -> int:
    """Columns of a grid about 3 : 2, rather a fuller grid than that shape to the letter."""
    ideal = max(1.0, math.sqrt(count * 1.5 * aspect))
    candidates = range(max(1, math.ceil(0.7 * ideal)), min(count, math.floor(1.4 * ideal)) + 1)
    return min(candidates, key=lambda columns: (-count % columns, abs(columns - ideal)), default=1)


def _mosaic(tiles: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """`tiles [h, w, f]` or `[h, w, 3, f]` in rows on white (colours) or on nothing (NaN), with gaps between them.

    Each weight becomes a block of cells, so that a gap can be narrower than one weight.
    """
    height, width, count = tiles.shape[0], tiles.shape[1], tiles.shape[-1]
    block = max(1, math.ceil(12 / min(height, width)))
    gap = max(1, round(GAP * block * min(height, width)))
    high, wide = height * block, width * block
    blank = np.nan if tiles.ndim == 3 else 1.0
    mosaic = np.full((rows * (high + gap) - gap, columns * (wide + gap) - gap, *tiles.shape[2:-1]), blank)
    for i in range(count):
        top, left = i // columns * (high + gap), i % columns * (wide + gap)
        mosaic[top : top + high, left : left + wide] = tiles[..., i].repeat(block, axis=0).repeat(block, axis=1)
    return mosaic


def _note(window: tuple[int, ...], shown: int, count: int, broken: int) -> str:
    height, width, channels = window
    how = {
        1: "one scale for all, symmetric about zero",
        3: "as RGB, grey is zero, each filter scaled by its largest weight",
    }.get(channels, f"mean over the {channels} input channels, one scale for all")
    first = f"the first {shown} of {count}" if shown < count else f"{count}"
    noun = "filter" if count == 1 else "filters"
    parts = [f"{first} {noun} of {height} × {width} × {channels}, {how}"]
    if broken:
        parts.append(f"{broken:,} weights are not finite and drawn as zero")
    return "\n".join(parts)
