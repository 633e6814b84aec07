"""The answers of a record, label, boxes and mask: checked against its picture, and put into its row of a batch."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from convnets.data.decoding import Content, UnreadableImage, decode_mask, of_another_size
from convnets.data.label_map import IGNORED, UNKNOWN, LabelMap
from convnets.data.records import Record
from convnets.data.resampling import Part, moved, nearest
from convnets.data.source import NO_OBJECT
from convnets.errors import InvalidValue

ROUNDING = 1.0
"""Pixels by which a box may reach beyond its picture; it is clipped then."""


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
    label_map: LabelMap | None,
) -> None:
    """Fills a row of a batch with all but the image.

    Args:
      upright: height and width of the picture.
      part: of the picture, that is shown.
      size: height and width at which it is shown, in the upper left of the image.
      label_map: what the values in the mask mean; None: they are the classes.

    Raises:
      InvalidValue: the record has no label, and others have.
      UnreadableImage: a mask that can't be read, or does not fit; a box that does not fit.
    """
    if "label" in batch:
        if record.label is None:
            raise InvalidValue(f"{record.name} has no label, and other examples of its split have one: leave it out")
        batch["label"][row] = record.label
    boxes, labels, mask = answers_in(record, upright, part, size, label_map)
    if "boxes" in batch and boxes is not None and labels is not None:
        is_seen, room = boxes[:, 2] > boxes[:, 0], batch["boxes"].shape[1]
        labels = np.where(is_seen, labels, NO_OBJECT)
        # Each has its own place; where there are not so many, those go to boxes that are seen.
        kept = np.arange(len(boxes)) if len(boxes) <= room else np.flatnonzero(is_seen)[:room]
        batch["boxes"][row, : len(kept)] = boxes[kept]
        batch["box_labels"][row, : len(kept)] = labels[kept]
    if "mask" in batch and mask is not None:
        batch["mask"][row, : size[0], : size[1]] = mask


def answers_in(
    record: Record, upright: tuple[int, int], part: Part, size: tuple[int, int], label_map: LabelMap | None
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Boxes `[n, 4]`, their labels `[n]` and the mask `[*size]` in a part that is brought to a size; None without.

    Raises:
      UnreadableImage: as `fill_answers`.
    """
    boxes = labels = mask = None
    if record.boxes is not None:
        check_boxes(record, *upright)
        boxes, labels = moved(record.boxes, part, size), labels_of_boxes(record, record.boxes)
    if record.mask is not None:
        mask = nearest(mask_of(record.mask, record.name, *upright, label_map), part, size)
    return boxes, labels, mask


def mask_of(content: Content, name: str, height: int, width: int, label_map: LabelMap | None = None) -> np.ndarray:
    """The classes of a picture's pixels, int32 `[height, width]`; 255 where they are ignored.

    Args:
      content: the mask.
      name: of the picture.
      height, width: of the upright picture.
      label_map: what its levels or colours mean; None: its levels are given as they are stored.

    Raises:
      UnreadableImage: the mask can't be decoded, is of another size, has colours for levels, levels for colours or a
        value that is not in the label map.
    """
    called = f"the mask {content}" if isinstance(content, Path) else f"the mask of {name}"
    stored = decode_mask(content, called, colours=label_map is not None and label_map.colours)
    if stored.shape[:2] != (height, width):
        raise of_another_size(called, stored.shape, (height, width))
    if label_map is None:
        return stored
    classes = label_map.classes_of(stored)
    unknown = np.flatnonzero(classes == UNKNOWN)
    if len(unknown):
        row, column = divmod(int(unknown[0]), width)
        value = f"colour {tuple(stored[row, column].tolist())}" if label_map.colours else f"level {stored[row, column]}"
        raise UnreadableImage(
            f"{called} has the {value} in row {row}, column {column} (from 0), and its label map has {label_map}",
            "set data.mask_classes with data.mask_values, or data.mask_ignored",
        )
    return classes


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
