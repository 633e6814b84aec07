"""Which part of a picture an example shows: its centre when it is evaluated, a random part in training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ATTEMPTS = 10
"""Draws of a part until one fits into the picture."""


@dataclass(frozen=True)
class Part:
    """A rectangle of a picture, in its pixels; it may begin and end between two of them."""

    top: float
    left: float
    height: float
    width: float

    def scaled(self, rows: float, columns: float) -> "Part":
        """The same part of a picture whose height and width are so many times as large."""
        return Part(self.top * rows, self.left * columns, self.height * rows, self.width * columns)


def central_part(height: int, width: int, rows: int, columns: int) -> Part:
    """The centre of a picture of `height` x `width` that becomes `rows` x `columns` pixels, its aspect kept.

    The picture just covers the result: of a square result, its short side becomes the side. The sides of the scaled
    picture are whole pixels, and so is the place of the result in it.
    """
    scale = max(columns / width, rows / height)
    covering_height, covering_width = max(rows, round(height * scale)), max(columns, round(width * scale))
    to_y, to_x = height / covering_height, width / covering_width
    top, left = (covering_height - rows) // 2 * to_y, (covering_width - columns) // 2 * to_x
    return Part(top, left, min(rows * to_y, height - top), min(columns * to_x, width - left))


def scaled_part(rng: np.random.Generator, height: int, width: int, scale: Sequence[float]) -> Part:
    """A square part at random of the picture brought to a random scale (Simonyan and Zisserman 2015, section 3.1; He
    et al. 2016, section 3.4), in whole pixels.

    Args:
      scale: (smallest, largest), at least 1, uniform: the short side of the scaled picture over the side of the part.
        ResNet's short side from [256, 480] and part of 224 are 8/7 to 15/7.
    """
    draws = rng.random(3)
    side = max(1, round(min(height, width) / (scale[0] + draws[0] * (scale[1] - scale[0]))))
    return _somewhere(draws[1:], height, width, side, side)


def part_of_random_shape(
    rng: np.random.Generator, height: int, width: int, area: Sequence[float], aspect: Sequence[float]
) -> Part:
    """A part of random area and shape at a random place (Szegedy et al. 2015, section 6), in whole pixels.

    Ten are drawn, and the first that fits is taken; where none fits, the last is cut to the picture.

    Args:
      area: (smallest, largest) share of the picture's area, uniform.
      aspect: (smallest, largest) ratio of width to height, log-uniform.
    """
    draws = rng.random((ATTEMPTS + 1, 2))
    pixels = height * width * (area[0] + draws[:ATTEMPTS, 0] * (area[1] - area[0]))
    low, high = np.log(aspect)
    ratio = np.exp(low + draws[:ATTEMPTS, 1] * (high - low))
    heights = np.maximum(np.rint(np.sqrt(pixels / ratio)), 1).astype(int)
    widths = np.maximum(np.rint(np.sqrt(pixels * ratio)), 1).astype(int)
    fits = (heights <= height) & (widths <= width)
    chosen = int(np.argmax(fits)) if fits.any() else ATTEMPTS - 1
    rows, columns = min(int(heights[chosen]), height), min(int(widths[chosen]), width)
    return _somewhere(draws[ATTEMPTS], height, width, rows, columns)


def _somewhere(shares: np.ndarray, height: int, width: int, rows: int, columns: int) -> Part:
    """A part of that size at one of the whole pixels where it fits, each as likely as the others."""
    top, left = int(shares[0] * (height - rows + 1)), int(shares[1] * (width - columns + 1))
    return Part(top, left, rows, columns)
