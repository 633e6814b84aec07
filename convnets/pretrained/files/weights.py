"""What a weight file holds: named arrays, all finite and the floating ones float32, and what is said of them."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from convnets.data.normalization import Normalization
from convnets.errors import ConvnetsError, InvalidValue

Contents = tuple[dict[str, np.ndarray], dict[str, Any]]
"""The arrays of a file of one format, in the file's own types, and what it says: other fields of `Weights`."""

LONGEST_REASON = 200
ROUNDED = (np.dtype(np.float64), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


@dataclass(frozen=True)
class Weights:
    """Named arrays as a file holds them, and what the file says of them if it was exported from here.

    Attributes:
      arrays: in the file's own names and layouts, read-only; floating ones are float32, whole numbers and truth values
        as in the file.
      origin: what was read, as errors and reports name it: the path, or `hf://owner/name/file`.
      format: "safetensors", "pytorch", "npz", "onnx" or "caffe".
      normalization: of the images that the weights expect; a repository of the hub may say it too.
      notes: what was done or passed over on the way, a phrase each: "161 arrays of float16, as float32".
      classes: names of the classes in the order of their labels.
      architecture, options: what `create` is to be called with.
      batch_norm: options of the network's batch norms: "epsilon", where it is not the architecture's own, and "per".
    """

    arrays: dict[str, np.ndarray]
    origin: str
    format: str
    normalization: Normalization | None = None
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    architecture: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_norm: Mapping[str, Any] = field(default_factory=dict)


def uniform(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The arrays with float16, bfloat16 and float64 as float32, read-only, and notes on how many those were.

    Raises:
      UnreadableFile: there are none, one isn't of numbers, or has NaN or infinite ones.
    """
    if not arrays:
        raise UnreadableFile("holds no arrays: give a file of weights")
    converted, rounded = {}, Counter[str]()
    for name, array in arrays.items():
        if array.dtype in ROUNDED:
            rounded[array.dtype.name] += 1
            # What doesn't fit becomes infinite and is refused below.
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                array = array.astype(np.float32)
        elif array.dtype != np.float32 and array.dtype.kind not in "iub":
            raise UnreadableFile(
                f"holds {name!r} of {array.dtype.name}, and what can be read is float64, float32, float16, bfloat16, "
                "whole numbers and truth values: save it in one of these"
            )
        # NaN comes through both, and nothing of the array's size is needed, as `isfinite(array).all()` would.
        if array.dtype.kind == "f" and array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
            raise UnreadableFile(
                f"holds {name!r} with NaN or infinite numbers, which no trained network has: give the weights of "
                "another step or file"
            )
        converted[name] = array.view()
        converted[name].flags.writeable = False
    return converted, tuple(
        f"{count} array{'s' if count > 1 else ''} of {name}, as float32" for name, count in rounded.items()
    )


def described(said: Any) -> dict[str, Any]:
    """The fields of `Weights` in a JSON object; nonsense in it counts as nothing, as others may have the same words."""
    facts = said if isinstance(said, Mapping) else {}
    found: dict[str, Any] = {}
    match facts.get("normalization"):
        case {"mean": mean, "std": std} | {"mean": mean, "deviation": std}:
            found["normalization"] = Normalization.parse(mean, std)
    match facts.get("classes"):
        case [*names] if all(isinstance(name, str) for name in names):
            found["classes"] = tuple(names)
    match facts.get("architecture"), facts.get("options"):
        case str(name), {**options}:
            values = {option: tuple(value) if isinstance(value, list) else value for option, value in options.items()}
            found |= {"architecture": name, "options": values}
    match facts.get("batch_norm"):
        case {"per": "filter" | "location" as per, **rest}:
            epsilon = rest.get("epsilon")
            known = isinstance(epsilon, float) and 0 < epsilon < math.inf
            found["batch_norm"] = {"per": per} | ({"epsilon": epsilon} if known else {})
    return found


class UnreadableFile(Exception):
    """The rest of a sentence that begins with the name of the file: "holds no tensors: give ..."."""


@contextmanager
def refusing(file: str, kind: str) -> Iterator[None]:
    """Makes one sentence about `file`, of the format `kind`, of whatever is raised while it is read.

    Raises:
      InvalidValue: the file can't be read.
    """
    try:
        yield
    except ConvnetsError:
        raise
    except UnreadableFile as error:
        raise InvalidValue(f"{file} {error}") from error
    except PermissionError as error:
        raise InvalidValue(f"{file} may not be read ({error.strerror}): change its permissions") from error
    # What the libraries raise at damaged bytes is no part of what they promise, and is of a dozen kinds.
    except Exception as error:
        raise InvalidValue(
            f"{file} can't be read as {kind} ({reason_of(error)}): it is damaged, cut short or something else than it "
            "seems, so fetch it again"
        ) from error


def reason_of(error: Exception) -> str:
    """An error's text on one line, as the texts of libraries may be long or none."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    if not said or isinstance(error, LookupError):
        said = f"{type(error).__name__} {said}".rstrip()
    return said[:LONGEST_REASON].rstrip(".")
