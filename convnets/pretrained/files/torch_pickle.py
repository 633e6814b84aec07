"""The pickles of PyTorch read as data: nothing that they name is imported, no attribute is set, nothing foreign called.

A restricted `find_class` of the standard library's unpickler is not enough: a pickle may still set attributes of what
it may name, and ten bytes that put a value into a far cell of the memo ask for 17 GB. Its twin in pure Python has a
table of operations. Here that table holds those that PyTorch's files consist of, and nothing else.
"""

import math
import pickle
import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any

import ml_dtypes
import numpy as np

from convnets.pretrained.files.weights import UnreadableFile

LONGEST_NAME = 100


@dataclass(frozen=True)
class Storage:
    """Numbers kept outside the pickle: under which key, of which type, and how many bytes of them."""

    key: str
    dtype: np.dtype
    nbytes: int


@dataclass(frozen=True)
class Tensor:
    """A view on a storage; `offset` and `strides` count numbers."""

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, raw: np.ndarray) -> np.ndarray:
        """The view as an array, given the bytes of the storage, uint8 `[nbytes]`; nothing is copied."""
        steps = [stride * self.dtype.itemsize for stride in self.strides]
        # The constructor refuses, as `stride_tricks.as_strided` doesn't, what would reach out of the buffer.
        return np.ndarray(self.shape, self.dtype, raw, self.offset * self.dtype.itemsize, steps)


class PlainDict(dict[Any, Any]):
    """A dict with plain keys: hashing a tuple in a tuple, a million deep, would overrun the interpreter's stack."""

    def __init__(self, pairs: Iterable[Iterable[Any]] = ()):
        super().__init__()
        for key, value in pairs:
            self[key] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        if key is not None and not isinstance(key, str | int | float | bytes):
            raise UnreadableFile(f"is damaged: its pickle has a {type(key).__name__} for a key")
        super().__setitem__(key, value)


def storage(identity: Any) -> Storage:
    """The storage of a persistent id: ("storage", type, key, device, number of elements), and None in older files.

    Raises:
      UnreadableFile: it is something else.
    """
    match identity:
        case ("storage", np.dtype() as dtype, str() as key, _, int() as count, *more) if count >= 0:
            if not any(view is not None for view in more):
                return Storage(key, dtype, count * dtype.itemsize)
    raise UnreadableFile("holds something that is kept outside the pickle and is no storage of numbers: save it again")


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """`torch._utils._rebuild_tensor_v2`, and `_rebuild_tensor` of the first versions."""
    return _rebuild_typed(storage, offset, shape, strides, None, None, getattr(storage, "dtype", None))


def _rebuild_typed(
    storage: Any, offset: Any, shape: Any, strides: Any, gradient: Any, hooks: Any, dtype: Any, *_: Any
) -> Tensor:
    """`torch._utils._rebuild_tensor_v3`, for types that have no storages of their own."""
    if not isinstance(storage, Storage) or not isinstance(dtype, np.dtype) or len(shape) != len(strides):
        raise UnreadableFile("is damaged: a tensor in it is not made as tensors are")
    for number in (offset, *shape, *strides):
        if type(number) is not int or number < 0:
            raise UnreadableFile(f"is damaged: a tensor in it has a size, stride or offset of {number!r}")
    held, size = storage.nbytes // dtype.itemsize, math.prod(shape)
    last = offset + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
    if size and (last >= held or size > held):
        raise UnreadableFile(
            f"holds a tensor of shape {list(shape)}, strides {list(strides)} and offset {offset} on a storage of "
            f"{held} numbers, which has not so many: save it with .contiguous(), or fetch it again"
        )
    return Tensor(storage, dtype, offset if size else 0, tuple(shape), tuple(strides))


def _content(content: Any, *_: Any) -> Any:
    """What stands for an object that is its content and some attributes."""
    return content


WHOLE = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")
DTYPES = {name: np.dtype(name) for name in ("float64", "float32", "float16", *WHOLE, "bool")}
DTYPES["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}
NAMES: dict[str, Any] = {
    "collections.OrderedDict": PlainDict,
    # What learning-rate schedules keep beside the weights.
    "collections.Counter": _content,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _rebuild,
    "torch._utils._rebuild_tensor_v2": _rebuild,
    "torch._utils._rebuild_tensor_v3": _rebuild_typed,
    "torch._utils._rebuild_parameter": _content,
    "torch.nn.parameter.Parameter": _content,
    "torch.storage.UntypedStorage": np.dtype(np.uint8),
    **{f"torch.{name}Storage": DTYPES[dtype] for name, dtype in STORAGES.items()},
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
}
"""All that a file may name, and what stands for it here: our own functions, and plain data."""

CODES = {operation.name: ord(operation.code) for operation in pickletools.opcodes}

USUAL = """
PROTO FRAME STOP MARK PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL INST BINPERSID INT
BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT NONE NEWTRUE NEWFALSE STRING BINSTRING SHORT_BINSTRING UNICODE
BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
EMPTY_LIST LIST APPEND APPENDS SETITEM SETITEMS REDUCE
"""
"""Operations that do what they do in Python."""


def _dict_of_items(unpickler: Any) -> None:
    items = unpickler.pop_mark()
    unpickler.append(PlainDict(zip(items[::2], items[1::2], strict=True)))


class _Operations(dict[int, Callable[[Any], None]]):
    def __missing__(self, code: int) -> Callable[[Any], None]:
        name = next((name for name, known in CODES.items() if known == code), f"{code:#x}")
        raise UnreadableFile(
            f"holds the pickle operation {name}, which no file of tensors has; nothing of it was run: fetch another one"
        )


class _Unpickler(pickle._Unpickler):
    dispatch = _Operations(
        {CODES[name]: pickle._Unpickler.dispatch[CODES[name]] for name in USUAL.split()}
        | {
            CODES["NEWOBJ"]: pickle._Unpickler.dispatch[CODES["REDUCE"]],
            CODES["EMPTY_DICT"]: lambda unpickler: unpickler.append(PlainDict()),
            CODES["DICT"]: _dict_of_items,
            # Attributes of an object, such as the `_metadata` of a state dict: nothing here has any.
            CODES["BUILD"]: lambda unpickler: unpickler.stack.pop(),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (name := f"{module}.{name}") not in NAMES:
            raise UnreadableFile(
                f"holds code or objects besides tensors: {name[:LONGEST_NAME]!r}; nothing of it was run: save the "
                "tensors alone, as torch.save(model.state_dict(), path) does"
            )
        return NAMES[name]


def load(stream: IO[bytes], persistent: Callable[[Any], Any]) -> Any:
    """The object of the pickle at the stream's place, which is then behind it.

    Args:
      persistent: what stands for something that is kept outside the pickle, from what the pickle calls it by.

    Raises:
      UnreadableFile: the pickle names something else than `NAMES`, or holds another operation.
      Exception: of any kind, at a pickle that is damaged.
    """
    # Texts of Python 2 have no encoding.
    unpickler = _Unpickler(stream, encoding="latin-1")
    unpickler.persistent_load = persistent  # type: ignore[assignment, method-assign]
    return unpickler.load()
