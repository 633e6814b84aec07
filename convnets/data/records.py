"""What a data set holds before its pictures are decoded: files or their bytes, with the answers that belong to them."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from convnets.data.decoding import Content, UnreadableImage, of_another_size, upright_size
from convnets.data.folder_scan import Paths
from convnets.data.label_map import LabelMap
from convnets.data.source import UNKNOWN_SHAPE, SourceInfo, as_index
from convnets.errors import InvalidValue
from convnets.progress import data_bar

UNREADABLE = 128
"""The side of the bucket of a picture whose size is not known, in pixels."""
THREADS = 16


@dataclass(frozen=True)
class Record:
    """One example as it lies on disk.

    Attributes:
      image: the picture.
      name: its path, or the data set, split and number: what an error calls it.
      label: its class, 0 <= label < number of classes, if it has one.
      boxes: float32 `[n, 4]` (y0, x0, y1, x1) in pixels of the upright picture, if it has any; n differs from record to
        record.
      box_labels: int32 `[n]`, the class of each box, if they have classes.
      mask: a picture of the same size whose levels or colours are classes of pixels, by the data set's label map.
      listed: where its answers stand, as "line 5 of photos.csv", if not with the picture.
    """

    image: Content
    name: str
    label: int | None = None
    boxes: np.ndarray | None = None
    box_labels: np.ndarray | None = None
    mask: Content | None = None
    listed: str = ""


class Records(Protocol):
    """Records by index: `records[i]` for `0 <= i < len(records)`. May be sent to other processes by pickling."""

    @property
    def info(self) -> SourceInfo: ...

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Record: ...


def are_files(records: Records) -> bool:
    """Whether pictures or masks are files, so that fetching a record reads none; all records are of a kind."""
    try:
        first = records[0] if len(records) else None
    except InvalidValue:
        return False
    return first is not None and any(isinstance(content, Path) for content in (first.image, first.mask))


def digest_of(state: Mapping[str, Any]) -> str:
    """A hash of what says which examples there are in which order, wherever they lie; of a `SourceInfo.state`."""
    examples = {name: value for name, value in state.items() if name not in ("path", "files")}
    return hashlib.sha256(json.dumps(examples, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Boxes:
    """The boxes of n images, one image after the other.

    Attributes:
      edges: float32 `[total, 4]` (y0, x0, y1, x1) in pixels of the upright pictures.
      ends: int64 `[n]`, the boxes of an image and of all before it.
      labels: int32 `[total]`, the class of each box, if boxes have one.
    """

    edges: np.ndarray
    ends: np.ndarray
    labels: np.ndarray | None = None

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Edges `[k, 4]` and labels `[k]` of the image at place `i`."""
        rows = slice(self.ends[i - 1] if i else 0, self.ends[i])
        return self.edges[rows].copy(), None if self.labels is None else self.labels[rows].copy()


@dataclass(frozen=True)
class LabelledFiles:
    """The n images of a split and what is known of them; what is None, no image has.

    Attributes:
      origin: the folder or list that they were found in.
      folder: what the paths are relative to, if they are not absolute.
      images: n paths.
      labels: int32 `[n]`.
      boxes: n times some boxes.
      masks: n paths.
      places: where the answers of an image stand, by its number; None: with the images.
    """

    origin: Path
    folder: Path
    images: Paths
    labels: np.ndarray | None = None
    boxes: Boxes | None = None
    masks: Paths | None = None
    places: Callable[[int], str] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def fields(self) -> tuple[str, ...]:
        """Which of `label`, `boxes` and `mask` the images have."""
        answers = {"label": self.labels, "boxes": self.boxes, "mask": self.masks}
        return tuple(name for name, answer in answers.items() if answer is not None)

    @property
    def box_counts(self) -> tuple[int, int] | tuple[()]:
        """The fewest and the most boxes of an image; () without boxes."""
        if self.boxes is None or not len(self):
            return ()
        counts = np.diff(self.boxes.ends, prepend=0)
        return int(counts.min()), int(counts.max())

    @property
    def state(self) -> dict[str, str | int]:
        """Where they are, how many, and a SHA-256 of their relative paths and answers in their order."""
        sha256 = hashlib.sha256(self.images.text)
        arrays = {"label": self.labels}
        if self.boxes is not None:
            arrays |= {"edges": self.boxes.edges, "ends": self.boxes.ends, "box label": self.boxes.labels}
        for name, array in arrays.items():
            if array is not None:
                # Little-endian on every machine.
                sha256.update(name.encode() + array.astype(array.dtype.newbyteorder("<")).tobytes())
        if self.masks is not None:
            sha256.update(b"mask" + self.masks.text)
        return {"path": os.path.abspath(self.origin), "files": len(self), "sha256": sha256.hexdigest()}


class FileRecords:
    """The files of a split as records.

    Args:
      name: of the data set.
      classes: of labels and boxes.
      splits: examples in each split.
      mask_classes: names of the levels 0, 1, ... of masks, () if others give them; None for data without any.
    """

    def __init__(
        self,
        files: LabelledFiles,
        *,
        name: str,
        classes: tuple[str, ...],
        splits: dict[str, int],
        mask_classes: tuple[str, ...] | None = None,
    ):
        self.files = files
        self.info = SourceInfo(
            name,
            classes,
            UNKNOWN_SHAPE,
            splits,
            fields=files.fields,
            box_counts=files.box_counts,
            label_map=LabelMap(mask_classes) if mask_classes and files.masks is not None else None,
            state=files.state | ({} if mask_classes is None else {"mask_classes": list(mask_classes)}),
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int, /) -> Record:
        """The record at place `i`; its picture is the path of a file that is not opened.

        Raises:
          IndexError: `i` outside `0 <= i < len`.
        """
        files = self.files
        i = as_index(i, len(files))
        image = files.folder / files.images[i]
        label = None if files.labels is None else int(files.labels[i])
        boxes, box_labels = (None, None) if files.boxes is None else files.boxes[i]
        mask = None if files.masks is None else files.folder / files.masks[i]
        listed = "" if files.places is None else files.places(i)
        return Record(image, str(image), label, boxes, box_labels, mask, listed)


def buckets_of(records: Records, multiple: int) -> np.ndarray:
    """The sizes of the upright pictures, each side rounded up to a multiple of `multiple` pixels, int32 `[N, 2]`.

    They are read from the files' headers. A picture whose header can't be read has a bucket of `UNREADABLE` pixels a
    side.
    """
    found = np.empty((len(records), 2), np.int32)
    # Most of the time goes by waiting for the disk.
    with ThreadPoolExecutor(THREADS) as pool, data_bar(f"sizes of {records.info.name}", len(records)) as bar:
        for i, size in enumerate(pool.map(partial(_size, records), range(len(records)))):
            found[i] = size
            bar.update(i + 1)
    return -(-found // multiple) * multiple


def misfits(records: Records, places: Sequence[int]) -> dict[int, UnreadableImage]:
    """What is wrong with masks of another size than their pictures, by the place of the record; none is decoded.

    A file whose header can't be read is left to who decodes it.
    """
    if "mask" not in records.info.fields:
        return {}
    title = f"sizes of masks of {records.info.name}"
    found = {}
    with ThreadPoolExecutor(THREADS) as pool, data_bar(title, len(places)) as bar:
        for done, fault in enumerate(pool.map(partial(_misfit, records), places), 1):
            if fault is not None:
                found[places[done - 1]] = fault
            bar.update(done)
    return found


def _size(records: Records, i: int) -> tuple[int, int]:
    try:
        return upright_size(records[i].image)
    # What is wrong with it is said where it is decoded; Pillow's errors are of many kinds.
    except Exception:
        return UNREADABLE, UNREADABLE


def _misfit(records: Records, i: int) -> UnreadableImage | None:
    record = records[i]
    mask = record.mask
    if not isinstance(mask, Path):
        return None
    try:
        picture = upright_size(record.image)
        # A mask is not turned by an EXIF orientation.
        with Image.open(mask) as image:
            stored = image.height, image.width
    # What is wrong with a file is said where it is decoded; Pillow's errors are of many kinds.
    except Exception:
        return None
    return None if stored == picture else of_another_size(f"the mask {mask}", stored, picture)
