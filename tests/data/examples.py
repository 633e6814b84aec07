"""What tests of data are made of: a photograph, noise, encoded pictures and masks, records and caches of them."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from convnets.data.image_cache import cached
from convnets.data.records import Record
from convnets.data.resampling import read_part
from convnets.data.source import UNKNOWN_SHAPE, SourceInfo

PHOTOGRAPH = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
"""On every machine: matplotlib ships it."""


def photograph(width: int = 512, height: int = 600) -> Image.Image:
    """The upper left part of it."""
    with Image.open(PHOTOGRAPH) as image:
        return image.convert("RGB").crop((0, 0, width, height))


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Pixels without any structure."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(image, form="JPEG", **options):
    """The content of an image file."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png(pixels: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """Uint8 levels `[H, W]` or colours `[H, W, 3]`; with a palette `[n, 3]` the levels are places in it."""
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.reshape(-1).tolist())
    return encoded(image, "PNG")


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


def read_image(*arguments) -> np.ndarray:
    """A user's picture in the shape of a network's images."""
    return read_part(*arguments)[0]


class FewRecords:
    """`Records` of a list."""

    def __init__(self, records: list[Record], classes=("a", "b"), fields=("label",), state=None):
        self.records = records
        sizes = {"train": len(records), "test": len(records)}
        self.info = SourceInfo(
            "few", tuple(classes), UNKNOWN_SHAPE, sizes, fields=tuple(fields), state=state or {"state": 1}
        )

    def __len__(self):
        return len(self.records)

    def __getitem__(self, i):
        return self.records[i]


def broken(record: Record) -> Record:
    """The same record with a picture that nobody can decode."""
    return replace(record, image=b"no picture")


def four_records(**options):
    sizes = [(60, 80), (80, 60), (24, 30), (50, 50)]
    some = [Record(encoded(photograph(w, h), "PNG"), f"picture {i}", i) for i, (h, w) in enumerate(sizes)]
    return FewRecords(some, classes="abcd", **options)


def kept(some, root, short_side=40, channels=3, unreadable=0):
    return cached(some, root, short_side=short_side, channels=channels, unreadable=unreadable)


def caches(root):
    """The folders of whole caches."""
    return [path for path in root.iterdir() if not path.name.startswith(".")]


def files(folder, count=3, size=(30, 40)):
    """Records that are files of one grey level each, their number."""
    folder.mkdir(exist_ok=True)
    some = []
    for i in range(count):
        path = folder / f"{i}.png"
        Image.new("RGB", size, (i, i, i)).save(path)
        some.append(Record(path, str(path), 0))
    return FewRecords(some)


def records_of(folder):
    return [Record(path, str(path), 0) for path in sorted(folder.iterdir())]


class Changed(FewRecords):
    """Records of which one is fetched by another function."""

    def __init__(self, some, place, fetch):
        super().__init__(some.records, some.info.classes)
        self.place, self.fetch = place, fetch

    def __getitem__(self, i):
        return self.fetch() if i == self.place else self.records[i]
