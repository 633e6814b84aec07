"""Files of `torch.save`, read without PyTorch: zip files, and the row of pickles from before version 1.6."""

import io
import mmap
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np

from convnets.pretrained.files.torch_pickle import Storage, Tensor, load, storage
from convnets.pretrained.files.weights import Contents, UnreadableFile

MAGIC_NUMBER = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
"""0x1950a86a20f9469cfc6c, as it is pickled at the beginning of an older file."""

ZIP = b"PK\x03\x04"
"""What a zip file begins with."""

PROTOCOL = 1001
LENGTH = 8
"""Bytes of the number of elements that goes before each storage of an older file."""

NESTED = ("state_dict", "model", "model_state_dict", "state_dict_ema")
"""Under which of these names, in this order, training scripts keep the weights beside other things."""

PARALLEL = "module."
"""What `torch.nn.DataParallel` puts before every name."""


def read_torch(path: Path) -> Contents:
    """The tensors of the file's state dict by their names; storages of anything else are not read.

    Raises:
      UnreadableFile: it holds code or objects besides tensors, no state dict, or tensors outside their storages; it
        ends early.
    """
    with open(path, "rb") as file:
        read = _read_zip if file.read(len(ZIP)) == ZIP else _read_pickles
        tensors, notes, raw = read(file, path.stat().st_size)
    return {name: tensor.array(raw[tensor.storage]) for name, tensor in tensors.items()}, {"notes": notes}


Found = tuple[dict[str, Tensor], tuple[str, ...], dict[Storage, np.ndarray]]
"""Tensors, notes, and the bytes of the storages, uint8."""


def _read_zip(file: IO[bytes], size: int) -> Found:
    with zipfile.ZipFile(file) as archive:
        folders = [name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(folders) != 1:
            raise UnreadableFile("is a zip file, but none of torch.save: it has no data.pkl in its one folder")
        (folder,) = folders
        pickle = _entry(archive, f"{folder}data.pkl", size)
        tensors, notes = _state_dict(load(io.BytesIO(pickle), storage))
        order: str = sys.byteorder
        if f"{folder}byteorder" in archive.namelist():
            order = _entry(archive, f"{folder}byteorder", size).decode()
        if order not in ("little", "big"):
            raise UnreadableFile(f"is damaged: it says that its order of bytes is {order!r}")
        needed = {tensor.storage for tensor in tensors.values()}
        if sum(each.nbytes for each in needed) > size:
            raise UnreadableFile("is damaged: its tensors take more bytes than the file has")
        raw = {}
        for each in needed:
            entry = _entry(archive, f"{folder}data/{each.key}", each.nbytes)
            if len(entry) != each.nbytes:
                raise UnreadableFile(f"is damaged: the storage {each.key!r} has {len(entry)} bytes, not {each.nbytes}")
            raw[each] = np.frombuffer(entry, np.uint8)
            if order != sys.byteorder:
                raw[each] = raw[each].view(f"u{each.dtype.itemsize}").byteswap()
    return tensors, notes, raw


def _entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The content of an entry of at most so many bytes, which is compared with its checksum."""
    entry = archive.getinfo(name)
    if max(entry.file_size, entry.compress_size) > most:
        raise UnreadableFile(f"is damaged: {name!r} takes more bytes than the file has")
    # An entry that unfolds to a thousand times its size is none of `torch.save`, which compresses nothing.
    if entry.compress_type != zipfile.ZIP_STORED:
        raise UnreadableFile(f"has {name!r} compressed, as torch.save does not: save it again")
    return archive.read(entry)


def _read_pickles(file: IO[bytes], size: int) -> Found:
    known: dict[str, Storage] = {}

    def noted(identity: Any) -> Storage:
        given = storage(identity)
        return known.setdefault(given.key, given)

    # A pickle says how long its strings are; reading from a map never takes more than there is.
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        if MAGIC_NUMBER not in mapped[:64]:
            raise UnreadableFile("is no file of torch.save: it does not begin as those do")
        stream: IO[bytes] = mapped  # type: ignore[assignment]
        _, protocol, _, found, keys = (load(stream, noted) for _ in range(5))
        start = mapped.tell()
    if protocol != PROTOCOL:
        raise UnreadableFile(f"is of the protocol {protocol!r} of torch.save, and known is {PROTOCOL}: save it again")
    tensors, notes = _state_dict(found)
    # The storages lie one behind the other, each behind the number of its elements.
    needed, raw = {tensor.storage for tensor in tensors.values()}, {}
    for each in (known[key] for key in keys):
        file.seek(start)
        count = int.from_bytes(file.read(LENGTH), "little")
        start += LENGTH + each.nbytes
        if start > size:
            raise UnreadableFile(f"is cut short: it ends at {size:,} bytes, within the storage {each.key!r}")
        if count * each.dtype.itemsize != each.nbytes:
            raise UnreadableFile(f"is damaged: the storage {each.key!r} says that it has {count} numbers")
        if each in needed:
            raw[each] = np.fromfile(file, np.uint8, each.nbytes)
    if missing := needed - raw.keys():
        raise UnreadableFile(f"lacks the storage {min(each.key for each in missing)!r}: fetch it again")
    return tensors, notes, raw


def _state_dict(found: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors by their names, and notes on where they were, what was left out and what names lost.

    Raises:
      UnreadableFile: there is no mapping with tensors at the top or one step below.
    """
    if not isinstance(found, dict):
        raise UnreadableFile(
            f"holds a {type(found).__name__.lower()} and no named tensors: save them as "
            "torch.save(model.state_dict(), path) does"
        )
    notes = []
    if within := next((name for name in NESTED if _tensors(found.get(name))), None):
        found = found[within]
        notes.append(f"under {within!r}")
    tensors = _tensors(found)
    if not tensors:
        raise UnreadableFile(
            f"holds no tensors at its top or under {', '.join(NESTED)}, only {_in_words(found) or 'nothing'}: "
            "save one state_dict by itself"
        )
    if others := [key for key in found if key not in tensors]:
        notes.append(f"left out what is no tensor: {_in_words(others)}")
    if all(name.startswith(PARALLEL) for name in tensors):
        tensors = {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
        notes.append(f"{PARALLEL!r} taken off the names")
    return tensors, tuple(notes)


def _tensors(found: Any) -> dict[str, Tensor]:
    items = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in items if isinstance(name, str) and isinstance(value, Tensor)}


def _in_words(keys: Collection[Any]) -> str:
    return ", ".join(repr(key)[:40] for key in list(keys)[:3]) + (", ..." if len(keys) > 3 else "")
