"""The key of a plot whose blobs have areas in proportion to the networks' parameters."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea
from matplotlib.patches import Circle
from matplotlib.text import Text

from convnets.analysis.human_units import short_count
from convnets.plots import style

NARROWEST = 32.0
"""Points across: the room that a blob of the key has at the least, for the number under it."""

GAP = 12.0
"""Points between the blobs of the key, and around the numbers under them."""

CORNERS = {"lower right": (1, 0), "upper left": (0, 1), "lower left": (0, 0), "upper right": (1, 1)}
"""Where the key may stand, the first choice first."""

FAR = 0.35
"""Of the plot's sides: no blob is nearer to the key's corner, if there is such a corner."""


def add_key(axes: Axes, largest: int, scale: float, places: np.ndarray) -> None:
    """Adds the key, three round numbers of parameters, in a corner where there are no blobs.

    Args:
      axes: of the plot.
      largest: parameters of the largest blob.
      scale: points² of a blob for each parameter, as `scatter` takes them.
      places: of the blobs, `[n, 2]`, as parts of the plot's width and height.
    """
    numbers = _round_numbers(largest)
    across = [math.sqrt(number * scale) for number in numbers]
    wide = [max(diameter, NARROWEST) for diameter in across]
    height = GAP + max(across) + GAP
    key = DrawingArea(sum(wide) + GAP * (len(wide) - 1), height + style.SMALL_SIZE)
    left = 0.0
    for number, diameter, width in zip(numbers, across, wide, strict=True):
        centre = (left + width / 2, GAP + diameter / 2)
        key.add_artist(Circle(centre, diameter / 2, color=style.MUTED, alpha=0.3, linewidth=0))
        key.add_artist(_small_text(centre[0], 0.0, round_count(number)))
        left += width + GAP
    key.add_artist(_small_text((left - GAP) / 2, height, "parameters"))
    corner = _empty_corner(places)
    axes.add_artist(AnchoredOffsetbox(corner, child=key, frameon=False, pad=0.6, borderpad=0.2))


def round_count(number: int) -> str:
    """A round number in K, M or G: `50 M`."""
    digits, _, unit = short_count(number).partition(" ")
    return f"{float(digits):g} {unit}".strip()


def _round_numbers(largest: int) -> list[int]:
    """A tenth, a half and the whole of the largest 1, 2 or 5 times a power of ten that is not above it."""
    decade = 10 ** math.floor(math.log10(largest))
    top = next(step * decade for step in (5, 2, 1) if step * decade <= largest)
    return [top // 10, top // 2, top]


def _small_text(x: float, y: float, text: str) -> Text:
    return Text(x, y, text, fontsize=style.SMALL_SIZE, color=style.INK, ha="center", va="baseline")


def _empty_corner(places: np.ndarray) -> str:
    room = {name: float(np.abs(places - corner).max(axis=1).min()) for name, corner in CORNERS.items()}
    return next((name for name in CORNERS if room[name] > FAR), max(room, key=room.__getitem__))
