"""The canvases of pictures that are evaluated each in its own size: what a program is compiled for."""

import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from convnets.data.decoding import ORIENTATION
from convnets.data.records import Content, Records
from convnets.data.reporting import bar
from convnets.data.source import Source, Subset

UNREADABLE = 128
"""The side of the canvas of a picture whose size is not known, in pixels."""

QUARTER_TURNS = range(5, 9)
"""EXIF's orientations that exchange height and width."""
PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What the name of a chunk, or of a text in it, is that may have a PNG's orientation."""
THREADS = 16


def canvases(source: Source) -> np.ndarray | None:
    """Height and width of each example's canvas, int32 `[N, 2]`; None for a source whose images have one size."""
    if isinstance(source, Subset):
        found = canvases(source.source)
        return None if found is None else found[source.indices]
    return getattr(source, "canvases", None)


def smallest(source: Source) -> tuple[str, tuple[int, int]] | None:
    """The name and the canvas of the example with the shortest side; None for a source whose images have one size."""
    sizes = canvases(source)
    if sizes is None or not len(sizes):
        return None
    place = int(sizes.min(axis=1).argmin())
    height, width = map(int, sizes[place])
    while isinstance(source, Subset):
        place, source = int(source.indices[place]), source.source
    records: Records = source.records  # type: ignore[attr-defined]
    return records[place].name, (height, width)


def canvases_of(records: Records, multiple: int) -> np.ndarray:
    """The sizes of the upright pictures, each side rounded up to a multiple of `multiple` pixels, int32 `[N, 2]`.

    They are read from the files' headers. A picture whose header can't be read has a canvas of `UNREADABLE` pixels a
    side.
    """
    found = np.empty((len(records), 2), np.int32)
    # Most of the time goes by waiting for the disk.
    with ThreadPoolExecutor(THREADS) as pool, bar(f"sizes of {records.info.name}", len(records)) as update:
        for i, size in enumerate(pool.map(partial(_size, records), range(len(records)))):
            found[i] = size
            update(i + 1)
    return -(-found // multiple) * multiple


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
