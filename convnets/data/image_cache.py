"""Decoded pictures on disk: one file of pixels, mapped into memory, so that epochs from it decode nothing.

A cache belongs to the state of the records and to the size that was asked for: its folder is named after a hash of
both, and other files or another size make another cache. It appears whole or not at all.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from convnets.data.decoding import Picture, UnreadableImage, decode_mask
from convnets.data.parts import Part
from convnets.data.records import Record, Records, RecordsInfo
from convnets.data.reporting import bar
from convnets.data.resampling import moved, nearest, resized_exactly
from convnets.errors import InvalidValue

VERSION = 1
"""Of the files' layout; another one makes another cache."""
SAMPLE = 64
"""Pictures that are decoded to foresee how much room all need."""
MARGIN = 1.1
"""Room that must be free, over what is foreseen."""


@dataclass(frozen=True)
class Shrunk:
    """What is kept of a record: pixels uint8 `[h, w, C]`, levels uint8 `[h, w]`, the boxes of that size, or why not."""

    pixels: np.ndarray | None = None
    mask: np.ndarray | None = None
    boxes: np.ndarray | None = None
    error: str = ""


class CachedRecords:
    """Records whose pictures are read from a cache, decoded and of the size that they were kept at.

    Args:
      folder: of a whole cache.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        facts = json.loads((folder / "info.json").read_text())
        self.info = RecordsInfo(**facts["info"] | {"classes": tuple(facts["info"]["classes"])})
        self._errors: dict[str, str] = facts["errors"]
        self._channels: int = facts["channels"]
        with np.load(folder / "index.npz") as index:
            self._index = dict(index)
        size = self._index["ends"][-1] if len(self._index["ends"]) else 0
        # An empty file can't be mapped.
        self._bytes = np.memmap(folder / "pixels", np.uint8, "r") if size else np.empty(0, np.uint8)

    def __len__(self) -> int:
        return len(self._index["shapes"])

    def __getitem__(self, i: int, /) -> Record:
        """Record `i`; its picture is a view of the mapped file.

        Raises:
          UnreadableImage: the picture could not be decoded when the cache was made.
        """
        if str(i) in self._errors:
            raise UnreadableImage(self._errors[str(i)])
        (height, width), end = self._index["shapes"][i], self._index["ends"][i]
        start = self._index["ends"][i - 1] if i else 0
        pixels = self._bytes[start:end]
        picture = height * width * self._channels
        first, last = (self._index["boxes_end"][i - 1] if i else 0), self._index["boxes_end"][i]
        return Record(
            image=pixels[:picture].reshape(height, width, self._channels),
            name=f"{self.info.name}, example {i} of the cache {self.folder}",
            label=int(self._index["label"][i]) if "label" in self.info.fields else None,
            boxes=self._index["boxes"][first:last] if "boxes" in self.info.fields else None,
            box_labels=self._index["box_labels"][first:last] if "boxes" in self.info.fields else None,
            mask=pixels[picture:].reshape(height, width) if "mask" in self.info.fields else None,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return CachedRecords, (self.folder,)


def cached(records: Records, root: str | Path, *, short_side: int, channels: int) -> CachedRecords:
    """The records with their pictures from a cache below `root`, which is made if it is not there.

    Args:
      short_side: pictures that are larger are brought to it (as `resized_exactly`); smaller ones stay as they are.
      channels: 1 or 3.

    Raises:
      InvalidValue: a folder that can't be written, or has too little room.
    """
    info = records.info
    facts = {"version": VERSION, "state": info.state, "short_side": short_side, "channels": channels}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    root = Path(root).expanduser()
    folder = root / f"{info.name.replace(os.sep, '-')}-{key}"
    shrink = partial(_shrunk, short_side=short_side, channels=channels)
    try:
        root.mkdir(parents=True, exist_ok=True)
        # The other processes of a machine wait, and then find it.
        with _locked(root / f".{folder.name}.lock"):
            if not folder.exists():
                _check_room(records, root, shrink)
                staging = root / f".{folder.name}.{os.getpid()}"
                try:
                    _make(records, staging, shrink, {"facts": facts, "channels": channels})
                    os.replace(staging, folder)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise InvalidValue(
            f"the cache of pictures in {root} can't be made ({reason}): name another folder with data.cache, or "
            "leave it empty"
        ) from error
    return CachedRecords(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_room(records: Records, root: Path, shrink: Any) -> None:
    """Refuses what the disk has no room for, before hours of decoding."""
    places = {round(place) for place in np.linspace(0, len(records) - 1, SAMPLE)} if len(records) else set()
    kept = [shrink(records[i]) for i in sorted(places)]
    sizes = [sum(part.nbytes for part in (one.pixels, one.mask) if part is not None) for one in kept]
    needed = int(MARGIN * float(np.mean(sizes)) * len(records)) if sizes else 0
    free = shutil.disk_usage(root).free
    if needed > free:
        raise InvalidValue(
            f"the cache of {len(records):,} pictures needs about {needed / 1e9:.1f} GB, and {root} has "
            f"{free / 1e9:.1f} GB free: name another folder with data.cache, or make data.cache_size smaller"
        )


def _make(records: Records, folder: Path, shrink: Any, facts: dict[str, Any]) -> None:
    """Writes a cache into a new folder."""
    folder.mkdir()
    shapes, ends, errors = np.zeros((len(records), 2), np.int32), np.zeros(len(records), np.int64), {}
    labels, boxes, box_labels, boxes_end = np.full(len(records), -1, np.int32), [], [], np.zeros(len(records), np.int64)
    position = kept_boxes = 0
    with (
        open(folder / "pixels", "wb") as file,
        bar(f"decoding {records.info.name}", len(records)) as update,
    ):
        for i, (record, one) in enumerate(_in_order(records, shrink)):
            if one.pixels is None:
                errors[str(i)] = one.error
            else:
                shapes[i] = one.pixels.shape[:2]
                position += _written(file, one.pixels)
                position += _written(file, one.mask) if one.mask is not None else 0
            if one.boxes is not None:
                boxes.append(one.boxes)
                no_classes = np.zeros(len(one.boxes), np.int32)
                box_labels.append(no_classes if record.box_labels is None else record.box_labels)
                kept_boxes += len(one.boxes)
            labels[i] = -1 if record.label is None else record.label
            ends[i], boxes_end[i] = position, kept_boxes
            update(i + 1)
    np.savez(
        folder / "index.npz",
        shapes=shapes,
        ends=ends,
        label=labels,
        boxes=np.concatenate([np.zeros((0, 4), np.float32), *boxes]),
        box_labels=np.concatenate([np.zeros(0, np.int32), *box_labels]),
        boxes_end=boxes_end,
    )
    (folder / "info.json").write_text(json.dumps(facts | {"info": asdict(records.info), "errors": errors}))


def _in_order(records: Records, shrink: Any) -> Iterator[tuple[Record, Shrunk]]:
    """Every record with what is kept of it, by all processors, few at a time."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(records), 16 * workers):
            part = [records[i] for i in range(start, min(start + 16 * workers, len(records)))]
            yield from zip(part, pool.map(shrink, part), strict=True)


def _shrunk(record: Record, *, short_side: int, channels: int) -> Shrunk:
    try:
        picture = Picture(record.image, record.name, channels)
        pixels = picture.pixels()
        whole = Part(0, 0, *pixels.shape[:2])
        scale = min(1.0, short_side / min(whole.height, whole.width))
        size = max(1, round(whole.height * scale)), max(1, round(whole.width * scale))
        mask = None
        if record.mask is not None:
            mask = nearest(decode_mask(record.mask, record.name), whole, size).astype(np.uint8)
        boxes = None if record.boxes is None else moved(record.boxes, whole, size)
        return Shrunk(pixels if scale == 1 else resized_exactly(pixels, whole, size), mask, boxes)
    except UnreadableImage as error:
        return Shrunk(error=str(error))


def _written(file: BinaryIO, values: np.ndarray) -> int:
    return file.write(np.ascontiguousarray(values).data)
