"""Decoded pictures as two files: their pixels, which are mapped into memory, and an index of what belongs to each."""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

from convnets.data.answers import labels_of_boxes
from convnets.data.decoding import UnreadableImage
from convnets.data.records import Record
from convnets.data.source import SourceInfo
from convnets.errors import InvalidValue

VERSION = 2
"""Of the files' layout."""

_PIXELS, _INDEX = "pixels", "index.npz"
_ARRAYS = ("channels", "shapes", "ends", "labels", "boxes", "box_labels", "boxes_ends", "unreadable", "errors")


class DamagedCache(InvalidValue):
    """A folder that is no cache, or from which something is missing."""


class CachedRecords:
    """Records whose pictures are read from a cache, decoded and of the size that they were kept at.

    Args:
      folder: as `write` made it.
      info: of the records that were kept, as they are known now.

    Raises:
      DamagedCache: the folder, or a part of its content, is not there.
    """

    def __init__(self, folder: Path, info: SourceInfo):
        self.folder, self.info = folder, info
        try:
            with open(folder / _INDEX, "rb") as file, np.load(file) as index:
                self._index = {name: index[name] for name in _ARRAYS}
            size = int(self._index["ends"][-1]) if len(self) else 0
            if os.path.getsize(folder / _PIXELS) != size:
                raise ValueError("the pixels are not all there")
            # An empty file can't be mapped.
            self._bytes = np.memmap(folder / _PIXELS, np.uint8, "r") if size else np.empty(0, np.uint8)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DamagedCache(
                f"the cache of pictures {folder} is damaged ({error}): start anew, which makes it again"
            ) from error

    @property
    def errors(self) -> dict[int, str]:
        """Why a picture could not be decoded when the cache was made, by its place."""
        return dict(zip(self._index["unreadable"].tolist(), self._index["errors"].tolist(), strict=True))

    def __len__(self) -> int:
        return len(self._index["ends"])

    def __getitem__(self, i: int, /) -> Record:
        """Record `i`; its picture is a view of the mapped file.

        Raises:
          UnreadableImage: the picture could not be decoded when the cache was made.
        """
        index, fields = self._index, self.info.fields
        place = np.searchsorted(index["unreadable"], i)
        if i in index["unreadable"][place : place + 1]:
            raise UnreadableImage(str(index["errors"][place]))
        (height, width), channels = index["shapes"][i], int(index["channels"])
        pixels = self._bytes[index["ends"][i - 1] if i else 0 : index["ends"][i]]
        picture = height * width * channels
        boxes = slice(index["boxes_ends"][i - 1] if i else 0, index["boxes_ends"][i])
        return Record(
            image=pixels[:picture].reshape(height, width, channels),
            name=f"{self.info.name}, example {i} of the cache {self.folder}",
            label=int(index["labels"][i]) if "label" in fields else None,
            boxes=index["boxes"][boxes] if "boxes" in fields else None,
            box_labels=index["box_labels"][boxes] if "boxes" in fields else None,
            mask=pixels[picture:].reshape(height, width) if "mask" in fields else None,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return CachedRecords, (self.folder, self.info)


def write(folder: Path, kept: Iterable[Record | UnreadableImage], count: int, channels: int) -> None:
    """Writes `count` records, or why they can't be decoded, into a new folder.

    Args:
      kept: records whose pictures are uint8 `[h, w, channels]`, and whose masks, if any, are classes, uint8 `[h, w]`.

    Raises:
      OSError: the folder is there, or can't be written.
    """
    folder.mkdir()
    shapes, ends = np.zeros((count, 2), np.int32), np.zeros(count, np.int64)
    labels, boxes_ends = np.full(count, -1, np.int32), np.zeros(count, np.int64)
    boxes, box_labels = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.int32)]
    errors: dict[int, str] = {}
    position = last_box = 0
    with open(folder / _PIXELS, "wb") as file:
        for i, one in enumerate(kept):
            if isinstance(one, UnreadableImage):
                errors[i] = one.fault
            else:
                pixels = cast(np.ndarray, one.image)
                shapes[i] = pixels.shape[:2]
                labels[i] = -1 if one.label is None else one.label
                position += file.write(np.ascontiguousarray(pixels).data)
                if one.mask is not None:
                    position += file.write(np.ascontiguousarray(one.mask).data)
                if one.boxes is not None:
                    boxes.append(one.boxes)
                    box_labels.append(labels_of_boxes(one, one.boxes))
                    last_box += len(one.boxes)
            ends[i], boxes_ends[i] = position, last_box
    np.savez(
        folder / _INDEX,
        channels=channels,
        shapes=shapes,
        ends=ends,
        labels=labels,
        boxes=np.concatenate(boxes),
        box_labels=np.concatenate(box_labels),
        boxes_ends=boxes_ends,
        unreadable=np.array(list(errors), np.int64),
        errors=np.array(list(errors.values()), np.str_),
    )
