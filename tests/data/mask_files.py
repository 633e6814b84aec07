"""Masks as files, for tests."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def png(pixels: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """Uint8 levels `[H, W]` or colours `[H, W, 3]`; with a palette `[n, 3]` the levels are places in it."""
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.reshape(-1).tolist())
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def write(path: Path, pixels: np.ndarray, palette: np.ndarray | None = None) -> Path:
    """Writes a picture, as a PNG or by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(png(pixels, palette))
    else:
        Image.fromarray(pixels).save(path, quality=95)
    return path


def png_of_few_levels(levels: np.ndarray, depth: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits a sample, written by the book (PNG specification, 2nd edition, clause 11.2.2)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = levels.shape
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    bits = np.unpackbits(levels.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :].reshape(height, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
