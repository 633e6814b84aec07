"""The class of every pixel of an image of any size: at once, or by overlapping windows if it is too large for that."""

from collections.abc import Callable

import numpy as np

from convnets.evaluation.views import Place, Size

Apply = Callable[[np.ndarray], np.ndarray]
"""An image uint8 `[H, W, C]` to the probabilities of the classes of each pixel, float32 `[H, W, classes]`."""


def pixel_classes(apply: Apply, image: np.ndarray, *, window: int, overlap: int) -> np.ndarray:
    """The likeliest class of each pixel, uint8 `[H, W]`.

    An image of at most `window` pixels a side is scored at once. Of a larger one windows are, that lie at equal
    distances and overlap by `overlap` pixels at least; where they do, the mean of their probabilities counts. The
    probabilities of one row of windows are kept at a time.

    Args:
      image: uint8 `[H, W, C]`.
      overlap: in [0, window).
    """
    size = image.shape[0], image.shape[1]
    if max(size) <= window:
        return apply(image).argmax(-1).astype(np.uint8)
    classes = np.empty(size, np.uint8)
    tops, lefts = (places(side, window, overlap) for side in size)
    height, so_far = min(window, size[0]), None
    for top, following in zip(tops, [*tops[1:], size[0]], strict=True):
        for left in lefts:
            probabilities = apply(image[top : top + window, left : left + window])
            if so_far is None:
                so_far = np.zeros((height, size[1], probabilities.shape[-1]), np.float32)
            so_far[:, left : left + window] += probabilities
        assert so_far is not None
        # No window below has a say in the rows above it. The largest sum is the largest mean.
        done = following - top
        classes[top:following] = so_far[:done].argmax(-1)
        so_far[: height - done] = so_far[done:].copy()
        so_far[height - done :] = 0
    return classes


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
