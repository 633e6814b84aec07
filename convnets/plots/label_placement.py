"""Where labels go beside blobs, so that none hides another.

Greedy: the first label chooses first, each from the same list of places around its blob, nearest first. Good enough for
some dozens of labels, and the same every time.
"""

from collections.abc import Sequence

import numpy as np

GAP = 3.0
"""Pixels between a label and its blob, and between two labels."""

MARGIN = np.array([-GAP, -GAP, GAP, GAP])
STEPS = 12
"""How many distances from its blob a label tries before it is given up."""

DIRECTIONS = np.array([(0, 1), (1, 0), (-1, 0), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1), (2, 1), (-2, 1), (2, -1)])
"""From a blob to its label, the best ones first where nothing else tells them apart."""


def place_labels(
    centres: np.ndarray,
    radii: np.ndarray,
    sizes: np.ndarray,
    bounds: Sequence[float],
    obstacles: Sequence[Sequence[float]] = (),
) -> list[tuple[float, float] | None]:
    """The middle of each label; None for a label that has no place left.

    No two labels overlap, and all lie within the bounds. A label keeps clear of all blobs where it can.

    Args:
      centres: of the blobs, `[n, 2]` in pixels.
      radii: of the blobs, `[n]` in pixels.
      sizes: width and height of the labels, `[n, 2]` in pixels.
      bounds: left, bottom, right and top of where labels may stand, in pixels.
      obstacles: left, bottom, right and top of boxes that are taken already, in pixels.
    """
    placed: list[tuple[float, float] | None] = []
    taken = np.array(obstacles, float).reshape(-1, 4)
    for centre, radius, size in zip(centres, radii, sizes, strict=True):
        places = _places(centre, radius, size)
        boxes = np.concatenate([places - size / 2, places + size / 2], axis=1)
        free = _within(boxes, bounds) & ~_overlaps(boxes, taken).any(axis=1)
        # A blob in the way is as bad as three steps away.
        cost = 3 * _covered(boxes, centres, radii) + np.arange(len(places)) / len(DIRECTIONS)
        best = int(np.argmin(np.where(free, cost, np.inf)))
        if not free[best]:
            placed.append(None)
            continue
        placed.append((float(places[best, 0]), float(places[best, 1])))
        taken = np.concatenate([taken, boxes[best : best + 1] + MARGIN])
    return placed


def _places(centre: np.ndarray, radius: float, size: np.ndarray) -> np.ndarray:
    """The places that a label tries, `[m, 2]`, the nearest first."""
    units = DIRECTIONS / np.hypot(*DIRECTIONS.T)[:, None]
    reach = radius + GAP + 0.75 * size[1] * np.arange(STEPS)
    around = centre + reach[:, None, None] * units + np.sign(DIRECTIONS) * size / 2
    return around.reshape(-1, 2)


def _within(boxes: np.ndarray, bounds: Sequence[float]) -> np.ndarray:
    left, bottom, right, top = bounds
    return (boxes[:, 0] >= left) & (boxes[:, 1] >= bottom) & (boxes[:, 2] <= right) & (boxes[:, 3] <= top)


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether box i and other box j overlap, `[n, m]`."""
    a, b = boxes[:, None], others[None]
    return (a[..., 0] < b[..., 2]) & (b[..., 0] < a[..., 2]) & (a[..., 1] < b[..., 3]) & (b[..., 1] < a[..., 3])


def _covered(boxes: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """By how many blobs each box is touched, `[n]`."""
    nearest = np.clip(centres[None], boxes[:, None, :2], boxes[:, None, 2:])
    return (np.hypot(*np.moveaxis(nearest - centres[None], -1, 0)) < radii[None]).sum(axis=1).astype(float)
