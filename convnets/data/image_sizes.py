"""Sizes of pictures and masks from the headers of their files: what programs are compiled for, and what must agree."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from convnets.data.answers import called_by, of_another_size
from convnets.data.decoding import ORIENTATION, Content, UnreadableImage
from convnets.data.records import Records
from convnets.progress import data_bar

UNREADABLE = 128
"""The side of the bucket of a picture whose size is not known, in pixels."""

QUARTER_TURNS = range(5, 9)
"""EXIF's orientations that exchange height and width."""
PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What the name of a chunk, or of a text in it, is that may have a PNG's orientation."""
THREADS = 16


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


def upright_size(content: Content) -> tuple[int, int]:
    """Height and width of a picture as a viewer shows it, from its header.

    Raises:
      OSError: it has none that can be read. Pillow raises other errors too.
    """
    if isinstance(content, np.ndarray):
        return content.shape[0], content.shape[1]
    with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
        if _may_be_turned(image, content) and image.getexif().get(ORIENTATION) in QUARTER_TURNS:
            return image.width, image.height
        return image.height, image.width


def _may_be_turned(image: Image.Image, content: bytes | Path) -> bool:
    if image.format == "PNG":
        # Pillow would decode it, to see what stands behind its pixels.
        return any(mark in _bytes(content) for mark in PNG_ORIENTATION)
    # Pillow gives the upright size of a TIFF.
    return image.format != "TIFF"


def _size(records: Records, i: int) -> tuple[int, int]:
    try:
        return upright_size(records[i].image)
    # What is wrong with it is said where it is decoded; Pillow's errors are of many kinds.
    except Exception:
        return UNREADABLE, UNREADABLE


def _bytes(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _misfit(records: Records, i: int) -> UnreadableImage | None:
    record = records[i]
    mask = record.mask
    if not isinstance(mask, Path):
        return None
    try:
        picture, stored = upright_size(record.image), _stored_size(mask)
    # What is wrong with a file is said where it is decoded; Pillow's errors are of many kinds.
    except Exception:
        return None
    return None if stored == picture else of_another_size(called_by(mask, record.name), stored, picture)


def _stored_size(mask: Path) -> tuple[int, int]:
    """Height and width; masks are not turned by an EXIF orientation."""
    with Image.open(mask) as image:
        return image.height, image.width
