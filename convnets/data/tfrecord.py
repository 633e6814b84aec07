"""TFRecord files by index: the format is a chain to be read from its beginning, so the places are looked up once.

A record is its length (uint64), the masked CRC-32C of the length (uint32), the data, and the masked CRC-32C of the
data (uint32), all little-endian: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import contextlib
import hashlib
import io
import json
import operator
import os
import struct
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue
from convnets.files import cache_folder, write_atomically

Progress = Callable[[int, int], None]
"""Called as (done, total)."""

HEADER = struct.Struct("<QI")  # the length and its checksum
FRAME = HEADER.size + 4  # bytes of a record that are not its data


@dataclass(frozen=True)
class Shard:
    """A file of records, and which of them are wanted.

    Attributes:
      path: the file.
      skip: records to pass over at its beginning.
      take: records to take after those.
      records: records that it must have in all.
    """

    path: Path
    skip: int
    take: int
    records: int


class TfRecords:
    """The wanted records of several files, as bytes. May be read by several threads and be sent to other processes.

    The places of the records are found by hopping from header to header, and kept in the user's cache until a file's
    size or time of modification changes. The checksums of the lengths are verified, those of the data are not.

    Args:
      shards: in the order of the records.
      progress: called with (files, all files) while the places are looked for.

    Raises:
      DataNotFound: a file is not there.
      InvalidValue: a file is compressed, truncated, no TFRecord file, or has another number of records.
    """

    def __init__(self, shards: Sequence[Shard], progress: Progress | None = None):
        self._paths = [str(shard.path) for shard in shards]
        starts, ends = [], []
        for shard, positions in zip(shards, _positions(self._paths, progress), strict=True):
            if len(positions) - 1 != shard.records:
                raise InvalidValue(
                    f"{shard.path} must have {shard.records} records and has {len(positions) - 1}: "
                    "prepare the data set again"
                )
            starts.append(positions[shard.skip : shard.skip + shard.take])
            ends.append(positions[shard.skip + 1 : shard.skip + shard.take + 1])
        self._file = np.repeat(np.arange(len(shards)), [shard.take for shard in shards])
        self._start = np.concatenate([np.zeros(0, np.int64), *starts])
        self._length = np.concatenate([np.zeros(0, np.int64), *ends]) - self._start - FRAME

    def __len__(self) -> int:
        return len(self._start)

    def __getitem__(self, i: int, /) -> bytes:
        """The data of record `i`.

        Raises:
          IndexError: `i` outside `0 <= i < len`.
          DataNotFound: its file is not there any more.
          InvalidValue: its file has become shorter, or can't be read.
        """
        i = operator.index(i)
        if not 0 <= i < len(self):
            raise IndexError(f"index {i} is outside the {len(self)} records (0 <= index < {len(self)})")
        path, length = self._paths[self._file[i]], int(self._length[i])
        # A file is opened for each record: ImageNet's are more than a process may keep open by default.
        with _open(path) as file:
            data = os.pread(file.fileno(), length, int(self._start[i]) + HEADER.size)
        if len(data) != length:
            raise InvalidValue(f"{path} has become shorter since its records were counted: prepare the data set again")
        return data


def find_records(path: str) -> np.ndarray:
    """Where each record of a file begins, and where the last one ends: int64 `[records + 1]`, in bytes.

    Raises:
      DataNotFound: the file is not there.
      InvalidValue: it is compressed, truncated, or no TFRecord file.
    """
    positions = [0]
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        while positions[-1] < size:
            record = len(positions)
            header = os.pread(file.fileno(), HEADER.size, positions[-1])
            if positions == [0] and header.startswith(b"\x1f\x8b"):
                raise InvalidValue(f"{path} is compressed, and only plain TFRecord files are read: gunzip it")
            if len(header) == HEADER.size:
                length, checksum = HEADER.unpack(header)
                if checksum != masked_crc32c(header[:8]):
                    raise InvalidValue(
                        f"{path} is no TFRecord file or is damaged at byte {positions[-1]}: prepare the data set again"
                    )
                positions.append(positions[-1] + length + FRAME)
            if len(header) < HEADER.size or positions[-1] > size:
                raise InvalidValue(f"{path} is truncated within record {record}: prepare the data set again")
    return np.array(positions, np.int64)


def masked_crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of `data`, rotated by 15 bits and offset as TFRecord files store it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC32C = [_crc32c_of_byte(byte) for byte in range(256)]


def _positions(paths: Sequence[str], progress: Progress | None) -> list[np.ndarray]:
    """`find_records` of each file, from the cache if the files are as they were."""
    cached = cache_folder("tfrecord") / f"{_fingerprint(paths)}.npz"
    if (known := _load(cached)) is not None:
        return known
    found = []
    # Most of the time goes by waiting for the disk.
    with ThreadPoolExecutor(16) as pool:
        for positions in pool.map(find_records, paths):
            found.append(positions)
            if progress is not None:
                progress(len(found), len(paths))
    content = io.BytesIO()
    np.savez(content, positions=np.concatenate(found), counts=[len(positions) for positions in found])
    # A home that can't be written to costs the next start the same wait, and no more.
    with contextlib.suppress(OSError):
        write_atomically(cached, content.getvalue())
    return found


def _fingerprint(paths: Sequence[str]) -> str:
    """Changes with the files."""
    states = []
    for path in paths:
        with _open(path) as file:
            state = os.fstat(file.fileno())
        states.append((os.path.abspath(path), state.st_size, state.st_mtime_ns))
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()


def _load(cached: Path) -> list[np.ndarray] | None:
    try:
        with open(cached, "rb") as file, np.load(file) as content:
            return np.split(content["positions"], np.cumsum(content["counts"])[:-1])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _open(path: str) -> io.FileIO:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise DataNotFound(f"{path} is not there: prepare the data set again, or bring the file back") from None
    except OSError as error:
        raise InvalidValue(f"{path} can't be read: {error.strerror}") from error
