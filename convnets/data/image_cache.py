"""Caches of decoded pictures on disk, made once, so that epochs from them decode nothing.

A cache belongs to the files of the records as they are, and to the size that was asked for: its folder is named after
a hash of both, and changed files or another size make another cache. It appears whole or not at all.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convnets.data.answers import answers_in
from convnets.data.cached_records import VERSION, CachedRecords, DamagedCache, write
from convnets.data.decoding import Picture, UnreadableImage
from convnets.data.label_map import LabelMap
from convnets.data.records import THREADS, Record, Records, are_files
from convnets.data.resampling import Part, resized_exactly
from convnets.data.source import SourceInfo
from convnets.errors import ConvnetsError, InvalidValue
from convnets.progress import data_bar

SAMPLE = 64
"""Pictures that are decoded to foresee how much room all need."""
MARGIN = 1.1
"""Room that must be free, over what is foreseen."""
AT_ONCE = 1000
"""Records whose files a thread looks at before the next one does."""

Shrink = Callable[[int], Record | UnreadableImage]
"""From the place of a record to what is kept of it."""


def cached(
    records: Records,
    root: str | Path,
    *,
    short_side: int,
    channels: int,
    unreadable: int,
    label_map: LabelMap | None = None,
) -> CachedRecords:
    """The records with their pictures from a cache below `root`, which is made if it is not there or damaged.

    Args:
      short_side: pictures that are larger are brought to it (as `resized_exactly`); smaller ones stay as they are.
      channels: 1 or 3.
      unreadable: so many pictures may be such that can't be decoded.
      label_map: what the values in the masks mean, which are kept as classes; None: they are kept as they are.

    Raises:
      InvalidValue: a folder that can't be written or has too little room, or more pictures that can't be decoded.
      ConvnetsError: as the records raise it.
    """
    root = Path(root).expanduser()
    key = _key(records, short_side, channels, label_map)
    folder = root / f"{records.info.name.replace(os.sep, '-')}-{key}"
    cache = _opened(folder, records.info)
    if cache is None:
        shrink = partial(_shrunk, records, short_side=short_side, channels=channels, label_map=label_map)
        try:
            cache = _made(records, folder, shrink, channels)
        # One of them is an OSError too.
        except ConvnetsError:
            raise
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
            raise InvalidValue(
                f"the cache of pictures in {root} can't be made ({reason}): name another folder with data.cache, or "
                "set data.cache_size to 0"
            ) from error
    # Before training meets the first.
    if len(cache.errors) > unreadable:
        raise InvalidValue(
            f"{len(cache.errors):,} of the {len(cache):,} pictures of {cache.info.name!r} can't be decoded (first: "
            f"{next(iter(cache.errors.values()))}), and data.unreadable is {unreadable}: replace or remove them, or "
            f"raise it to {len(cache.errors)}"
        )
    return cache


def _key(records: Records, short_side: int, channels: int, label_map: LabelMap | None) -> str:
    facts: dict[str, Any] = {
        "version": VERSION,
        "state": records.info.state,
        "fields": list(records.info.fields),
        "files": _state_of_files(records),
        "short_side": short_side,
        "channels": channels,
    }
    if label_map is not None:
        # Names alone change no pixel.
        facts["legend"] = [len(label_map.classes), label_map.values, label_map.ignored]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _state_of_files(records: Records) -> str:
    """Changes with the content of files that have one picture or mask each; empty if the records have none."""
    if not are_files(records):
        return ""
    sha256, starts = hashlib.sha256(), range(0, len(records), AT_ONCE)
    # Most of the time goes by waiting for the disk.
    with ThreadPoolExecutor(THREADS) as pool, data_bar(f"files of {records.info.name}", len(records)) as bar:
        for start, states in zip(starts, pool.map(partial(_states, records), starts), strict=True):
            sha256.update(states.encode())
            bar.update(min(start + AT_ONCE, len(records)))
    return sha256.hexdigest()


def _states(records: Records, start: int) -> str:
    places = range(start, min(start + AT_ONCE, len(records)))
    states = []
    for i in places:
        try:
            record = records[i]
        except UnreadableImage:
            continue
        for content in (record.image, record.mask):
            if isinstance(content, Path):
                try:
                    state = os.stat(content)
                    states.append(f"{state.st_size} {state.st_mtime_ns}\n")
                except OSError as error:
                    states.append(f"{error.errno}\n")
    return "".join(states)


def _opened(folder: Path, info: SourceInfo) -> CachedRecords | None:
    try:
        return CachedRecords(folder, info)
    except DamagedCache:
        return None


def _made(records: Records, folder: Path, shrink: Shrink, channels: int) -> CachedRecords:
    """The cache in its place; of all processes that want it one makes it, and the others wait and find it."""
    root = folder.parent
    root.mkdir(parents=True, exist_ok=True)
    lock = root / f".{folder.name}.lock"
    with open(lock, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if (cache := _opened(folder, records.info)) is not None:
            return cache
        for path in root.iterdir():
            # What is damaged, or was left by processes that were killed.
            if path == folder or (path.name.startswith(f".{folder.name}.") and path != lock):
                shutil.rmtree(path)
        _check_room(records, root, shrink)
        staging = root / f".{folder.name}.{socket.gethostname()}.{os.getpid()}"
        try:
            with closing(_in_order(records, shrink)) as kept:
                write(staging, kept, len(records), channels)
            os.replace(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return CachedRecords(folder, records.info)


def _check_room(records: Records, root: Path, shrink: Shrink) -> None:
    """Refuses what the disk has no room for, before hours of decoding."""
    places = {round(place) for place in np.linspace(0, len(records) - 1, SAMPLE)} if len(records) else set()
    kept = [one for one in map(shrink, sorted(places)) if isinstance(one, Record)]
    arrays = [[content for content in (one.image, one.mask) if isinstance(content, np.ndarray)] for one in kept]
    sizes = [sum(array.nbytes for array in of_one) for of_one in arrays]
    needed = int(MARGIN * float(np.mean(sizes)) * len(records)) if sizes else 0
    free = shutil.disk_usage(root).free
    if needed > free:
        raise InvalidValue(
            f"the cache of {len(records):,} pictures needs about {needed / 1e9:.1f} GB, and {root} has "
            f"{free / 1e9:.1f} GB free: name another folder with data.cache, or make data.cache_size 0 or smaller, "
            "but no smaller than data.size and data.evaluation_size"
        )


def _in_order(records: Records, shrink: Shrink) -> Generator[Record | UnreadableImage, None, None]:
    """What is kept of every record, by all processors, few at a time."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, data_bar(f"decoding {records.info.name}", len(records)) as bar:
        for start in range(0, len(records), 16 * workers):
            part = range(start, min(start + 16 * workers, len(records)))
            for i, one in zip(part, pool.map(shrink, part), strict=True):
                yield one
                bar.update(i + 1)


def _shrunk(
    records: Records, i: int, *, short_side: int, channels: int, label_map: LabelMap | None
) -> Record | UnreadableImage:
    try:
        record = records[i]
        pixels = Picture(record.image, record.name, channels).pixels()
        whole = Part(0, 0, *pixels.shape[:2])
        scale = min(1.0, short_side / min(pixels.shape[:2]))
        size = max(1, round(whole.height * scale)), max(1, round(whole.width * scale))
        boxes, labels, mask = answers_in(record, (pixels.shape[0], pixels.shape[1]), whole, size, label_map)
        mask = None if mask is None else mask.astype(np.uint8)
        shrunk = pixels if scale == 1 else resized_exactly(pixels, whole, size)
        return Record(shrunk, record.name, record.label, boxes, labels, mask)
    except UnreadableImage as error:
        return error
