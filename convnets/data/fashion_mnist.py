"""Fashion-MNIST: 70,000 grey pictures of clothes in 10 classes, from the four idx files of its publisher.

Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
arXiv:1708.07747. Nothing is downloaded here: `convnets.data.fetch_fashion_mnist` does that, on request.
"""

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from convnets.data.source import ArraySource, DataNotFound, SourceInfo
from convnets.errors import InvalidValue
from convnets.files import cache_folder as user_cache_folder

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Where Debian's package `dataset-fashion-mnist` puts the files.
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")

INK = 12
"""Grey values above it belong to the garment, which is light on black with dark parts inside."""
OUTSIDE = 2
REPLACE = "replace it with the file of Fashion-MNIST's publisher or of Debian"


class CorruptData(InvalidValue):
    """A file is not the one its publisher made."""


class IdxFile(NamedTuple):
    """One of the publisher's files.

    Attributes:
      name: file name without `.gz`.
      shape: dimensions of the uint8 array in it.
      sha256: of the uncompressed content, since Debian's gzip headers differ from the publisher's.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str


# split -> (images, labels)
FILES = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ),
    "test": (
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}


def load(split: str, *, data_dir: str = "", padding: int = 2) -> ArraySource:
    """Fashion-MNIST's `train` (60,000) or `test` (10,000) examples, in the publisher's order.

    An example is `image [28 + 2p, 28 + 2p, 1]` uint8 (0 is background) and `label` int32 in 0..9.

    Args:
      split: "train" or "test".
      data_dir: the folder with the four files; empty: the places that `find` looks in.
      padding: zeros added on each side; 2 makes the 32 x 32 that LeNet-5 takes.

    Raises:
      DataNotFound: as `find`.
      CorruptData: a file of this split is damaged or not the publisher's.
      InvalidValue: another split, or a negative padding.
    """
    if split not in FILES:
        raise InvalidValue(f"Fashion-MNIST has the splits {', '.join(FILES)}, not {split!r}")
    info = describe(padding)
    folder = find(data_dir)
    images, labels = (read_idx(folder, file) for file in FILES[split])
    count, height, width = images.shape
    padded = np.zeros((count, *info.image_shape), np.uint8)
    padded[:, padding : padding + height, padding : padding + width, 0] = images
    return ArraySource({"image": padded, "label": labels.astype(np.int32)}, info)


def describe(padding: int = 2) -> SourceInfo:
    """The data set's description, for which no file is read.

    Raises:
      InvalidValue: a negative padding.
    """
    if padding < 0:
        raise InvalidValue(f"data.padding must not be negative, and is {padding}")
    _, height, width = FILES["test"][0].shape
    shape = (height + 2 * padding, width + 2 * padding, 1)
    sizes = {name: files[0].shape[0] for name, files in FILES.items()}
    return SourceInfo(name="fashion_mnist", classes=CLASSES, image_shape=shape, splits=sizes, padding=padding)


def silhouette(grey: np.ndarray) -> np.ndarray:
    """The garment in a picture `[H, W]` uint8, float32 `[H, W]` of 0 and 1: what is light, or enclosed by what is.

    The outside is what the frame's dark pixels reach from one dark pixel to the next, up, down, left and right.
    """
    dark = np.pad(grey <= INK, 1, constant_values=True).astype(np.uint8)
    cv2.floodFill(dark, None, (0, 0), OUTSIDE)
    return (dark[1:-1, 1:-1] != OUTSIDE).astype(np.float32)


def find(data_dir: str = "") -> Path:
    """The folder that has the four files, gzipped or raw.

    Looks in `data_dir` alone if it is given, else in Debian's folder and then in the user's cache.

    Raises:
      DataNotFound: none of them has all four.
    """
    folders = [Path(data_dir).expanduser()] if data_dir else [SYSTEM_FOLDER, cache_folder()]
    for folder in folders:
        if all(_path(folder, file) for files in FILES.values() for file in files):
            return folder
    places = " or ".join(str(folder) for folder in folders)
    raise DataNotFound(
        f"Fashion-MNIST's four idx files are not in {places}: fetch them with `make train`, name the folder "
        "that has them with --data_dir, or install the Debian package dataset-fashion-mnist"
    )


def cache_folder() -> Path:
    """The folder of the user's cache that the files are fetched into."""
    return user_cache_folder("fashion-mnist")


def verify(folder: Path) -> None:
    """Reads all four files of a folder.

    Raises:
      CorruptData: a file is damaged or not the publisher's.
      DataNotFound: a file is missing.
    """
    for files in FILES.values():
        for file in files:
            read_idx(folder, file)


def read_idx(folder: Path, file: IdxFile) -> np.ndarray:
    """The uint8 array of the file's `shape`, read-only, from `<name>.gz` or else from `<name>`.

    Raises:
      CorruptData: the file is damaged or not the publisher's.
      DataNotFound: there is no such file.
      InvalidValue: the file can't be read.
    """
    path = _path(folder, file)
    if path is None:
        raise DataNotFound(f"{folder} has neither {file.name}.gz nor {file.name} of Fashion-MNIST")
    header = bytes([0, 0, 8, len(file.shape)]) + b"".join(size.to_bytes(4, "big") for size in file.shape)
    size = len(header) + math.prod(file.shape)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            # One byte more than there may be: an overlong file is found out without reading all of it.
            content = stream.read(size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptData(f"{path} is damaged ({error}): {REPLACE}") from error
    except OSError as error:
        raise InvalidValue(f"{path} can't be read: {error.strerror}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != file.sha256:
        had = "more" if len(content) > size else f"{len(content):,}"
        raise CorruptData(
            f"{path} has {had} of {size:,} bytes and the SHA-256 {sha256[:12]}, not {file.sha256[:12]}: {REPLACE}"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(file.shape)


def _path(folder: Path, file: IdxFile) -> Path | None:
    # Gzipped first, because that is what a fetch puts beside a raw file that turned out to be damaged.
    candidates = (folder / f"{file.name}.gz", folder / file.name)
    return next((path for path in candidates if os.path.isfile(path)), None)
