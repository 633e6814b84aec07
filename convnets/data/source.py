"""Where examples come from: random access, so that shuffling, sharding and resuming are index arithmetic."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from convnets.data.label_map import LabelMap
from convnets.errors import ConvnetsError, InvalidValue

SPLITS = ("train", "test")
"""Of a data set as a run knows it."""
UNKNOWN_SHAPE = (0, 0, 0)
"""Of pictures that are not decoded."""

Example = dict[str, Any]
"""`image [H, W, C]` uint8, `index` and, as the data has them, `label`, `boxes`, `mask` or any array of fixed shape."""
NO_OBJECT = -1
"""The label of a place for a box that no object fills; its box is (0, 0, 0, 0)."""


class DataNotFound(ConvnetsError, FileNotFoundError):
    """The files of a data set are in none of the places where they may be."""


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a data set before an example is read.

    Attributes:
      name: the data set's name.
      classes: names of the classes; label `i` is `classes[i]`.
      image_shape: (H, W, C) of the images as the source serves them. Of pictures that are not decoded, 0 for what
        differs among them or is not known.
      splits: examples in each split of the data set as it was published.
      padding: zeros that the source puts on each side of its images, counted in `image_shape`; so are a user's.
      training_shape: (H, W, C) of the images that training is served, before augmentation; () for `image_shape`.
      digest: of which examples the split has in which order, and their answers; empty if the data set has one order.
      mask_classes: names of the classes of pixels; value `i` of a mask is `mask_classes[i]`. () without masks.
      variable_size: whether pictures are served for evaluation each in its own size, padded to that of its batch.
      box_counts: the fewest and the most boxes that an example is served with; () without boxes or if not known.
      fields: of pictures that are not decoded, which of `label`, `boxes` and `mask` every one has.
      label_map: what the values in mask files mean, where the data set says so.
      state: what identifies the files, and changes when they do; of JSON's types.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    splits: dict[str, int]
    padding: int = 0
    training_shape: tuple[int, int, int] | tuple[()] = ()
    digest: str = ""
    mask_classes: tuple[str, ...] = ()
    variable_size: bool = False
    box_counts: tuple[int, int] | tuple[()] = ()
    fields: tuple[str, ...] = ()
    label_map: LabelMap | None = None
    state: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def shape_in_training(self) -> tuple[int, int, int]:
        """(H, W, C) of the images that training is served."""
        return self.training_shape or self.image_shape

    def to_json(self) -> dict[str, Any]:
        """What a run keeps of it; all but what concerns the files of pictures."""
        of_files = ("fields", "label_map", "state")
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in of_files}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "SourceInfo":
        """From what `to_json` gave, also under the names that fields had earlier.

        Raises:
          TypeError: unknown or missing fields.
        """
        earlier = {"own_sizes": "variable_size"}
        given: dict[str, Any] = {
            earlier.get(name, name): tuple(value) if isinstance(value, list) else value for name, value in saved.items()
        }
        return cls(**given)


class Source(ABC):
    """Examples by index: `source[i]` for `0 <= i < len(source)`, each independent of what was read before.

    A subclass sets `info`, and defines `__len__` and `__getitem__`; the other methods are for those that can do better
    than this class, or whose pictures are files.
    """

    info: SourceInfo

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, i: int, /) -> Example: ...

    def batch(self, indices: np.ndarray | Sequence[int], /) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` as arrays `[n, ...]`; `weight [n]`, if it is there, is 0.0 for unreadable ones.

        Raises:
          IndexError: an index outside the source.
          ValueError: examples that have different fields or shapes, or indices that are not one axis of integers.
        """
        examples = [self[int(i)] for i in as_indices(indices, len(self))]
        if not examples:
            raise ValueError("a source without `batch` of its own needs at least one index, but none was given")
        batch = {}
        for name in sorted(set().union(*examples)):
            values = [np.asarray(example[name]) for example in examples if name in example]
            shapes = sorted({value.shape for value in values})
            if len(values) < len(examples) or len(shapes) > 1:
                had = f"{len(values)} of {len(examples)} examples have it, in the shapes {shapes}"
                raise ValueError(f"{name!r} can't be batched: {had}")
            batch[name] = np.stack(values)
        return batch

    def training_batch(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
    ) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` as they are trained on in `epochs [n]`: here, as they are.

        Elsewhere a random part of a picture, say, drawn from (seed, epoch, index) alone.

        Args:
          size: the side of the images instead of `info.training_shape`'s.

        Raises:
          InvalidValue: a size for a source whose images have one.
        """
        if size is not None:
            raise InvalidValue(f"train.resolutions is for pictures that are resized, not those of {self.info.name!r}")
        return self.batch(indices)

    def places(self) -> np.ndarray:
        """Where each example stands in the source that reads it, int64 `[N]`: here in this one."""
        return np.arange(len(self))

    @property
    def labels(self) -> np.ndarray | None:
        """The label of every example, int32 `[N]`, if each has one and no picture has to be decoded for it."""
        return None

    @property
    def buckets(self) -> np.ndarray | None:
        """Padded height and width of each example, int32 `[N, 2]`; None if all images have one size."""
        return None

    def name_of(self, i: int) -> str:
        """What errors call the example at place `i`."""
        return f"example {i} of {self.info.name}"

    def smallest(self) -> tuple[str, tuple[int, int]] | None:
        """The name and the bucket of the example with the shortest side; None if all images have one size."""
        sizes = self.buckets
        if sizes is None or not len(sizes):
            return None
        place = int(sizes.min(axis=1).argmin())
        return self.name_of(place), (int(sizes[place, 0]), int(sizes[place, 1]))

    def check_masks(self, places: np.ndarray | None = None) -> None:
        """Compares the sizes of pictures and masks that are files, from their headers; here there are none.

        Args:
          places: of the examples to look at; None: all.

        Raises:
          InvalidValue: more masks of another size than pictures are to be passed over.
        """
        return

    def count_unreadable(self, indices: np.ndarray) -> None:
        """Counts examples, by their `index`, that were unreadable to another process.

        Raises:
          InvalidValue: the source has a limit, and there are more.
        """
        return

    def file_stamps(self) -> list[tuple[str, int, int]]:
        """Name, size and time of the last change (ns) of every file that pictures are read from."""
        return []


class ArraySource(Source):
    """Examples in memory, the rows of arrays.

    Args:
      arrays: `image [N, H, W, C]` uint8 and whatever else the task takes, each with the same leading axis N.
        Examples and batches are copies of their rows, so nothing written into one reaches the source.
      info: the description served with them.

    Raises:
      ValueError: no `image`, images of another shape than `info.image_shape`, different numbers of rows, or
        an array named `index`, which the source itself provides.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], info: SourceInfo):
        if "image" not in arrays or "index" in arrays:
            raise ValueError(f"arrays must have 'image' and may not have 'index', but are {sorted(arrays)}")
        if arrays["image"].shape[1:] != info.image_shape:
            raise ValueError(f"images {arrays['image'].shape} are not [N, *{info.image_shape}]")
        rows = {name: len(array) for name, array in arrays.items()}
        if len(set(rows.values())) > 1:
            raise ValueError(f"arrays must have equally many rows, but have {rows}")
        self.info = info
        self._arrays = dict(arrays)

    def __len__(self) -> int:
        return len(self._arrays["image"])

    def __getitem__(self, i: int, /) -> Example:
        """The example at place `i`, with `index` = `i` (int32); IndexError for `i` outside `0 <= i < len`."""
        i = as_index(i, len(self))
        return {name: array[i].copy() for name, array in self._arrays.items()} | {"index": np.int32(i)}

    def batch(self, indices: np.ndarray | Sequence[int], /) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` as arrays with a leading axis n, with `index [n]` int32."""
        indices = as_indices(indices, len(self))
        batch = {name: array[indices] for name, array in self._arrays.items()}
        return batch | {"index": indices.astype(np.int32)}

    @property
    def labels(self) -> np.ndarray | None:
        """The label of every example, int32 `[N]`, if they have one."""
        return self._arrays.get("label")


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set: to learn from, to choose by (None if none is held out), and to report."""

    train: Source
    validation: Source | None
    test: Source


def load_training_batch(
    source: Source, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
) -> dict[str, np.ndarray]:
    """`source.training_batch`, in which the next readable example of the source takes the place of an unreadable one.

    `unreadable [n]` then has the `index` of what was replaced, -1 where nothing was.

    Raises:
      IndexError: an index outside the source.
      InvalidValue: as `training_batch`, or a source without any readable example.
    """
    batch = source.training_batch(indices, epochs, seed, size)
    if "weight" not in batch:
        return batch
    readable = batch.pop("weight") > 0
    batch["unreadable"] = np.where(readable, -1, batch["index"]).astype(np.int32)
    for further in range(1, len(source)):
        missing = np.flatnonzero(~readable)
        if not len(missing):
            break
        others = source.training_batch((indices[missing] + further) % len(source), epochs[missing], seed, size)
        readable[missing] = others.pop("weight") > 0
        for name, values in others.items():
            batch[name][missing] = values
    if not readable.all():
        raise InvalidValue(f"none of the {len(source)} pictures of {source.info.name!r} can be decoded: replace them")
    return batch


def random_order(length: int, bits: np.random.PCG64) -> np.ndarray:
    """The places `[length]` in an order that the bits decide, the same in every version of NumPy."""
    # NumPy promises the same raw bits, but not the same `permutation`.
    return np.argsort(bits.random_raw(length), kind="stable")


def as_index(i: int, length: int) -> int:
    """A place in a source of that length.

    Raises:
      IndexError: `i` outside `0 <= i < length`.
    """
    i = operator.index(i)
    if not 0 <= i < length:
        raise IndexError(f"index {i} is outside the {length} examples (0 <= index < {length})")
    return i


def as_indices(indices: np.ndarray | Sequence[int], length: int) -> np.ndarray:
    """Places in a source of that length, int64 `[n]`.

    Raises:
      IndexError: an index outside `0 <= i < length`.
      ValueError: indices that are not one axis of integers.
    """
    array = np.asarray(indices)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"indices must be one axis of integers, but are {array.dtype} {list(array.shape)}")
    outside = array[(array < 0) | (array >= length)]
    if outside.size:
        as_index(int(outside[0]), length)
    return array.astype(np.int64)
