"""Named arrays of a weight file, all finite and the floating ones float32."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from convnets.data.normalization import Normalization
from convnets.pretrained.files.unreadable import Unreadable

Contents = tuple[dict[str, np.ndarray], tuple[str, ...]]
"""What a file of one format holds, in the file's own types, and notes on it."""

ROUNDED = (np.dtype(np.float64), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


@dataclass(frozen=True)
class Weights:
    """Named arrays as a file holds them.

    Attributes:
      arrays: in the file's own names and layouts, read-only; floating ones are float32, whole numbers and truth values
        as in the file.
      origin: what was read, as errors and reports name it: the path, or `hf://owner/name/file`.
      format: "safetensors", "pytorch", "npz", "onnx" or "caffe".
      normalization: mean and deviation of the channels that the weights expect, on the scale where white is 1, if it
        is known with the file: a repository of the hub says it, and a file that was exported from here.
      notes: what was done or passed over on the way, a phrase each: "161 arrays of float16, as float32".
      classes: names of the classes in the order of their labels, if the file was exported from here; else empty.
    """

    arrays: dict[str, np.ndarray]
    origin: str
    format: str
    normalization: Normalization | None = None
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def uniform(arrays: Mapping[str, np.ndarray]) -> Contents:
    """The arrays with float16, bfloat16 and float64 as float32, read-only, and notes on how many those were.

    Raises:
      Unreadable: there are none, one isn't of numbers, or has NaN or infinite ones.
    """
    if not arrays:
        raise Unreadable("holds no arrays: give a file of weights")
    converted, rounded = {}, Counter[str]()
    for name, array in arrays.items():
        if array.dtype in ROUNDED:
            rounded[array.dtype.name] += 1
            # What doesn't fit becomes infinite and is refused below.
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                array = array.astype(np.float32)
        elif array.dtype != np.float32 and array.dtype.kind not in "iub":
            raise Unreadable(
                f"holds {name!r} of {array.dtype.name}, and what can be read is float64, float32, float16, bfloat16, "
                "whole numbers and truth values: save it in one of these"
            )
        if array.dtype.kind == "f" and not _finite(array):
            raise Unreadable(
                f"holds {name!r} with NaN or infinite numbers, which no trained network has: give the weights of "
                "another step or file"
            )
        converted[name] = array.view()
        converted[name].flags.writeable = False
    return converted, tuple(
        f"{count} array{'s' if count > 1 else ''} of {name}, as float32" for name, count in rounded.items()
    )


def _finite(array: np.ndarray) -> bool:
    # NaN comes through both, and nothing of the array's size is needed, as `isfinite(array).all()` would.
    return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))
