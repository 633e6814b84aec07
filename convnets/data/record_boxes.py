"""The boxes of a record: their classes, and whether its picture can have them."""

import numpy as np

from convnets.data.decoding import UnreadableImage
from convnets.data.records import Record

ROUNDING = 1.0
"""Pixels by which a box may reach beyond its picture; it is clipped then."""


def labels_of_boxes(record: Record, boxes: np.ndarray) -> np.ndarray:
    """The class of each of a record's boxes `[n, 4]`, int32 `[n]`: its own, or else the picture's, or else 0."""
    if record.box_labels is not None:
        return record.box_labels
    return np.full(len(boxes), 0 if record.label is None else record.label, np.int32)


def check_boxes(record: Record, height: int, width: int) -> None:
    """Refuses boxes that a picture of that size can't have.

    Raises:
      UnreadableImage: the first that is not of numbers, is empty or inverted, or reaches beyond the picture by more
        than `ROUNDING`.
    """
    for number, box in enumerate(() if record.boxes is None else record.boxes, 1):
        y0, x0, y1, x1 = box.tolist()
        inside = min(y0, x0) >= -ROUNDING and y1 <= height + ROUNDING and x1 <= width + ROUNDING
        # False for NaN too.
        if not (y0 < y1 and x0 < x1 and inside):
            listed = f" ({record.listed})" if record.listed else ""
            raise UnreadableImage(
                f"box {number} of {record.name}{listed} is [{y0:g}, {x0:g}, {y1:g}, {x1:g}], and must be "
                f"[y0, x0, y1, x1] with y0 < y1 and x0 < x1 within its {height} x {width} pixels"
            )
