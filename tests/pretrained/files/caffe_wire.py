"""Caffe models in the wire format of protocol buffers, byte by byte: https://protobuf.dev/programming-guides/encoding"""

import numpy as np

VARINT, PIECE = 0, 2


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have their highest bit set."""
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | PIECE) + varint(len(content)) + content


def blob(array: np.ndarray, old: bool = False) -> bytes:
    """BlobProto with a shape, or with the four sizes of before there were shapes; float64 as `double_data`."""
    data = field(8 if array.dtype == np.float64 else 5, array.tobytes())
    if old:
        sizes = (1, 1, 1, 1, *array.shape)[-4:]
        return b"".join(field(number, size) for number, size in enumerate(sizes, 1)) + data
    return data + field(7, field(1, b"".join(map(varint, array.shape))))


def layer(name: str, kind: str, *arrays: np.ndarray) -> bytes:
    """A LayerParameter as a field of NetParameter, with a phase that nobody asks for."""
    blobs = b"".join(field(7, blob(array)) for array in arrays)
    return field(100, field(1, name) + field(2, kind) + field(3, "data") + field(4, name) + blobs + field(10, 1))


def old_layer(name: str, kind: int, *arrays: np.ndarray) -> bytes:
    """A V1LayerParameter as a field of NetParameter."""
    blobs = b"".join(field(6, blob(array, old=True)) for array in arrays)
    return field(2, field(2, "data") + field(3, name) + field(4, name) + field(5, kind) + blobs)


def net(*layers: bytes) -> bytes:
    return field(1, "net") + b"".join(layers)
