"""A tiny stand-in for Fashion-MNIST, for the tests of reading and of fetching it."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from convnets.data import fashion_mnist


@pytest.fixture
def user_cache(tmp_path, monkeypatch) -> Path:
    """A user's cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "user" / "convnets"


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Six training and three test pictures of 5 x 4, by file name."""
    random = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": random.integers(0, 256, (6, 5, 4), dtype=np.uint8),
        "train-labels-idx1-ubyte": random.integers(0, 10, 6, dtype=np.uint8),
        "t10k-images-idx3-ubyte": random.integers(0, 256, (3, 5, 4), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": random.integers(0, 10, 3, dtype=np.uint8),
    }


@pytest.fixture
def contents(arrays) -> dict[str, bytes]:
    """The arrays as idx: 0, 0, 8 for unsigned bytes, the number of axes, big-endian sizes, the data."""
    return {
        name: struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        for name, array in arrays.items()
    }


@pytest.fixture
def published(tmp_path, arrays, contents, user_cache, monkeypatch) -> Path:
    """A folder with the four files, which now are what counts as Fashion-MNIST; nothing is in place yet."""

    def stand_in(file: fashion_mnist.IdxFile) -> fashion_mnist.IdxFile:
        sha256 = hashlib.sha256(contents[file.name]).hexdigest()
        return file._replace(shape=arrays[file.name].shape, sha256=sha256)

    files = {split: tuple(map(stand_in, pair)) for split, pair in fashion_mnist.FILES.items()}
    monkeypatch.setattr(fashion_mnist, "FILES", files)
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "system")
    folder = tmp_path / "published"
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


@pytest.fixture
def cache(published, tmp_path) -> Path:
    """The user's cache folder, not made yet."""
    return tmp_path / "user" / "convnets" / "fashion-mnist"
