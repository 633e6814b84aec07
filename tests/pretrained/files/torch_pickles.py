"""Files of PyTorch put together by hand, operation by operation, as `torch.save` writes them."""

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Numbers = tuple[int, ...]

HELD = 4
ZEROS = {"0": bytes(4 * HELD)}
"""The storage of the tensors that nothing else is said of: four numbers of float32."""

ROW = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
"""What the older files begin with."""


def integer(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(
    offset: int = 0, shape: Numbers = (2, 2), strides: Numbers = (2, 1), held: int = HELD, key: str = "0"
) -> bytes:
    """The operations that put a tensor of float32 onto the stack."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + integer(held) + b"tQ"
    sizes = [b"(" + b"".join(map(integer, numbers)) + b"t" for numbers in (shape, strides)]
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + integer(offset) + b"".join(sizes)
    return rebuilt + b"\x89ccollections\nOrderedDict\n)RtR"


def state(value: bytes, name: str = "w") -> bytes:
    """The pickle of a state dict that has the value."""
    return b"\x80\x02}" + text(name) + value + b"s."


def whole(arrays: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, bytes]]:
    """The pickle of a state dict of these arrays of float32, and the storages."""
    items = [
        text(name) + tensor(0, array.shape, tuple(step // 4 for step in array.strides), array.size, str(key))
        for key, (name, array) in enumerate(arrays.items())
    ]
    storages = {str(key): array.tobytes() for key, array in enumerate(arrays.values())}
    return b"\x80\x02}(" + b"".join(items) + b"u.", storages


def zipped(path: Path, pickled: bytes, storages: Mapping[str, bytes] = ZEROS) -> str:
    """A file of today."""
    entries = {"data.pkl": pickled, "version": b"3\n"} | {f"data/{key}": data for key, data in storages.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return str(path)


def in_a_row(path: Path, pickled: bytes, storages: Mapping[str, bytes] = ZEROS) -> str:
    """A file of before version 1.6, which names one thing more of a storage."""
    data = b"".join(struct.pack("<q", len(data) // 4) + data for data in storages.values())
    path.write_bytes(b"".join(ROW) + pickled.replace(b"tQ", b"NtQ") + pickle.dumps(list(storages), 2) + data)
    return str(path)
