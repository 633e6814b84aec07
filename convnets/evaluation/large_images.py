"""Scores for every pixel of one image of any size: at once, or by windows that overlap if it is too large for that."""

from collections.abc import Callable

import numpy as np

from convnets.evaluation.views import Place, Size

CANVAS = 128
"""Images are filled up to multiples of so many pixels, so that few sizes are compiled."""

Apply = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""An image uint8 `[H, W, C]` and the height and width int32 `[2]` of the part of it that is no filling, to the
probabilities of the classes of each pixel, float32 `[H, W, classes]`."""


def pixel_probabilities(apply: Apply, image: np.ndarray, *, window: int, overlap: int) -> np.ndarray:
    """The probabilities of the classes of each pixel, float32 `[H, W, classes]`.

    An image of at most `window` pixels a side is scored at once. Of a larger one windows are, that lie at equal
    distances and overlap by `overlap` pixels at least; where they do, the mean of their probabilities counts.

    Args:
      image: uint8 `[H, W, C]`.
      overlap: in [0, window).
    """
    size = image.shape[0], image.shape[1]
    if max(size) <= window:
        return _filled_up(apply, image)
    total: np.ndarray | None = None
    counts = np.zeros((*size, 1), np.float32)
    for top, left in windows_of(size, window, overlap):
        part = slice(top, top + window), slice(left, left + window)
        probabilities = _filled_up(apply, image[part])
        if total is None:
            total = np.zeros((*size, probabilities.shape[-1]), np.float32)
        total[part] += probabilities
        counts[part] += 1
    assert total is not None
    return total / counts


def windows_of(size: Size, window: int, overlap: int) -> list[Place]:
    """Top and left of the windows of an image, row by row."""
    rows, columns = (places(side, window, overlap) for side in size)
    return [(top, left) for top in rows for left in columns]


def places(side: int, window: int, overlap: int) -> list[int]:
    """Where windows begin along a side: the fewest, at equal distances from edge to edge, that overlap enough.

    >>> places(100, 64, 16), places(64, 64, 16), places(300, 64, 16)
    ([0, 36], [0], [0, 47, 94, 142, 189, 236])
    """
    if side <= window:
        return [0]
    count = -(-(side - overlap) // (window - overlap))
    return [round(i * (side - window) / (count - 1)) for i in range(count)]


def _filled_up(apply: Apply, image: np.ndarray) -> np.ndarray:
    """The image's own pixels of what is said of it with zeros below and at the right."""
    height, width = image.shape[:2]
    below, right = -height % CANVAS, -width % CANVAS
    filled = np.pad(image, ((0, below), (0, right), (0, 0)))
    return apply(filled, np.array([height, width], np.int32))[:height, :width]
