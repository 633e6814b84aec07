"""Tensors as PyTorch pickles them: a storage of numbers kept outside the pickle, and a view on it."""

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from convnets.pretrained.files.restricted_pickle import Constructor, mapping
from convnets.pretrained.files.weights import UnreadableFile


@dataclass(frozen=True)
class Storage:
    """Where numbers are to be read: under which key, of which type, and how many bytes of them."""

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
    return _view(storage, getattr(storage, "dtype", None), offset, shape, strides)


def _rebuild_typed(
    storage: Any, offset: Any, shape: Any, strides: Any, gradient: Any, hooks: Any, dtype: Any, *_: Any
) -> Tensor:
    """`torch._utils._rebuild_tensor_v3`, for types that have no storages of their own."""
    return _view(storage, dtype, offset, shape, strides)


def _view(storage: Any, dtype: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
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
    "collections.OrderedDict": Constructor(mapping),
    # What learning-rate schedules keep beside the weights.
    "collections.Counter": Constructor(_content),
    "torch.Size": Constructor(tuple),
    "torch._utils._rebuild_tensor": Constructor(_rebuild),
    "torch._utils._rebuild_tensor_v2": Constructor(_rebuild),
    "torch._utils._rebuild_tensor_v3": Constructor(_rebuild_typed),
    "torch._utils._rebuild_parameter": Constructor(_content),
    "torch.nn.parameter.Parameter": Constructor(_content),
    "torch.storage.UntypedStorage": np.dtype(np.uint8),
    **{f"torch.{name}Storage": DTYPES[dtype] for name, dtype in STORAGES.items()},
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
}
"""All that a file may import, and what stands for it here."""
