"""What a data set holds before its pictures are decoded: files or their bytes, with the answers that belong to them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from convnets.data.legend import Legend

Content = bytes | Path | np.ndarray
"""A picture: the content of an image file, the file itself, or decoded pixels uint8 `[H, W, C]`."""


@dataclass(frozen=True)
class Record:
    """One example as it lies on disk.

    Attributes:
      image: the picture.
      name: its path, or the data set, split and number: what an error calls it.
      label: its class, 0 <= label < number of classes, if it has one.
      boxes: float32 `[n, 4]` (y0, x0, y1, x1) in pixels of the upright picture, if it has any; n differs from record to
        record.
      box_labels: int32 `[n]`, the class of each box, if they have classes.
      mask: a picture of the same size whose levels or colours are the classes of the pixels, by the data set's legend.
      listed: where its answers stand, as "line 5 of photos.csv", if not with the picture.
    """

    image: Content
    name: str
    label: int | None = None
    boxes: np.ndarray | None = None
    box_labels: np.ndarray | None = None
    mask: Content | None = None
    listed: str = ""


@dataclass(frozen=True)
class RecordsInfo:
    """What is known of a split without reading its pictures.

    Attributes:
      name: the data set's name.
      classes: names of the classes; label `i` is `classes[i]`.
      splits: examples in each split, as `Source.info` has them.
      fields: which of `label`, `boxes` and `mask` every record has.
      state: what identifies the pictures that these records have, and changes when they do; of JSON's types.
      legend: what the values in the masks mean, where the data set says so.
      box_counts: the fewest and the most boxes of a record, where that is known.
    """

    name: str
    classes: tuple[str, ...]
    splits: dict[str, int]
    fields: Sequence[str] = ("label",)
    state: dict[str, Any] = field(default_factory=dict)
    legend: Legend | None = None
    box_counts: tuple[int, int] | tuple[()] = ()


class Records(Protocol):
    """Records by index: `records[i]` for `0 <= i < len(records)`. May be sent to other processes by pickling."""

    @property
    def info(self) -> RecordsInfo: ...

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Record: ...


def digest_of(state: Mapping[str, Any]) -> str:
    """A hash of what says which examples there are in which order, wherever they lie; of a `RecordsInfo.state`."""
    examples = {name: value for name, value in state.items() if name not in ("path", "files")}
    return hashlib.sha256(json.dumps(examples, sort_keys=True).encode()).hexdigest()[:32]
