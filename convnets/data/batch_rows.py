"""The arrays of a batch of pictures, and how an answer gets into its row."""

from collections.abc import Collection

import numpy as np

from convnets.data.legend import Legend
from convnets.data.masks import mask_of
from convnets.data.parts import Part
from convnets.data.record_boxes import check_boxes, labels_of_boxes
from convnets.data.records import Record
from convnets.data.resampling import moved, nearest
from convnets.errors import InvalidValue
from convnets.unlabelled import IGNORED

NO_OBJECT = -1
"""The label of a place for a box that no object fills; its box is (0, 0, 0, 0)."""


def empty_batch(
    indices: np.ndarray, size: tuple[int, int], channels: int, fields: Collection[str], places: int
) -> dict[str, np.ndarray]:
    """Black images `[n, *size, channels]` without answers.

    Args:
      indices: `[n]`, places in the source.
      fields: the answers that there will be.
      places: for boxes in each example.
    """
    count = len(indices)
    batch: dict[str, np.ndarray] = {
        "image": np.zeros((count, *size, channels), np.uint8),
        "index": np.asarray(indices, np.int32),
        "weight": np.ones(count, np.float32),
    }
    if "label" in fields:
        batch["label"] = np.zeros(count, np.int32)
    if "boxes" in fields:
        batch["boxes"] = np.zeros((count, places, 4), np.float32)
        batch["box_labels"] = np.full((count, places), NO_OBJECT, np.int32)
    if "mask" in fields:
        batch["mask"] = np.full((count, *size), IGNORED, np.int32)
    return batch


def fill_answers(
    batch: dict[str, np.ndarray],
    row: int,
    record: Record,
    upright: tuple[int, int],
    part: Part,
    size: tuple[int, int],
    legend: Legend | None,
) -> None:
    """Fills a row of a batch with all but the image.

    Args:
      upright: height and width of the picture.
      part: of the picture, that is shown.
      size: height and width at which it is shown, in the upper left of the image.
      legend: what the values in the mask mean; None: they are the classes.

    Raises:
      InvalidValue: the record has no label, and others have.
      UnreadableImage: a mask that can't be read, or does not fit; a box that does not fit.
    """
    if "label" in batch:
        if record.label is None:
            raise InvalidValue(f"{record.name} has no label, and other examples of its split have one: leave it out")
        batch["label"][row] = record.label
    if "boxes" in batch and record.boxes is not None:
        check_boxes(record, *upright)
        boxes, labels = moved(record.boxes, part, size), labels_of_boxes(record, record.boxes)
        is_seen, room = boxes[:, 2] > boxes[:, 0], batch["boxes"].shape[1]
        labels = np.where(is_seen, labels, NO_OBJECT)
        # Each has its own place; where there are not so many, those go to boxes that are seen.
        kept = np.arange(len(boxes)) if len(boxes) <= room else np.flatnonzero(is_seen)[:room]
        batch["boxes"][row, : len(kept)] = boxes[kept]
        batch["box_labels"][row, : len(kept)] = labels[kept]
    if "mask" in batch and record.mask is not None:
        mask = mask_of(record.mask, record.name, *upright, legend)
        batch["mask"][row, : size[0], : size[1]] = nearest(mask, part, size)
