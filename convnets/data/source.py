"""Where examples come from: random access, so that shuffling, sharding and resuming are index arithmetic."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from convnets.errors import ConvnetsError, InvalidValue

# One example: `image [H, W, C]` uint8 and, as the data has them, `label`, `boxes`, `mask`, `index`.
Example = dict[str, Any]


class DataNotFound(ConvnetsError, FileNotFoundError):
    """The files of a data set are in none of the places where they may be."""


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a data set before an example is read.

    Attributes:
      name: the data set's name.
      classes: names of the classes; label `i` is `classes[i]`.
      image_shape: (H, W, C) of the images as the source serves them.
      splits: examples in each split of the data set as it was published.
      padding: zeros that the source puts on each side of its images, counted in `image_shape`; so are a user's.
      training_shape: (H, W, C) of the images that training is served, before augmentation; () for `image_shape`.
      digest: of which examples the split has in which order, and their answers; empty if the data set has one order.
      mask_classes: names of the classes of pixels; value `i` of a mask is `mask_classes[i]`. () without masks.
      own_sizes: whether pictures are served for evaluation each in its own size, padded to that of its batch.
      box_counts: the fewest and the most boxes that an example is served with; () without boxes.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    splits: dict[str, int]
    padding: int = 0
    training_shape: tuple[int, int, int] | tuple[()] = ()
    digest: str = ""
    mask_classes: tuple[str, ...] = ()
    own_sizes: bool = False
    box_counts: tuple[int, int] | tuple[()] = ()

    @property
    def shape_in_training(self) -> tuple[int, int, int]:
        """(H, W, C) of the images that training is served."""
        return self.training_shape or self.image_shape


class Source(Protocol):
    """Examples by index: `source[i]` for `0 <= i < len(source)`, each independent of what was read before."""

    @property
    def info(self) -> SourceInfo: ...

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Example: ...


@runtime_checkable
class BatchSource(Protocol):
    """A source that gathers many examples at once."""

    def batch(self, indices: np.ndarray, /) -> dict[str, np.ndarray]: ...  # indices [n] -> arrays [n, ...]


@runtime_checkable
class TrainingSource(Protocol):
    """A source that serves examples for training otherwise than for evaluation: a random part of a picture, say.

    `training_batch(indices [n], epochs [n], seed, size)` gives arrays `[n, ...]`, drawn from (seed, epoch, index)
    alone; `size` is their side if not `info.training_shape`'s. An unreadable example has `weight [n]` 0.0.
    """

    def training_batch(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
    ) -> dict[str, np.ndarray]: ...


@runtime_checkable
class CountingSource(Protocol):
    """A source some of whose examples may be unreadable, and which allows so many of them."""

    def count_unreadable(self, places: np.ndarray) -> None: ...


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set: to learn from, to choose by (None if none is held out), and to report."""

    train: Source
    validation: Source | None
    test: Source


class InMemorySource:
    """Examples that are rows of arrays.

    Args:
      arrays: `image [N, H, W, C]` uint8 and whatever else the data has, each with the same leading axis N.
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
        self._length = rows["image"]

    def __len__(self) -> int:
        return self._length

    @property
    def labels(self) -> np.ndarray | None:
        """The label of every example, int32 `[N]`, if they have one."""
        return self._arrays.get("label")

    def __getitem__(self, i: int, /) -> Example:
        """The example at place `i`, with `index` = `i` (int32).

        Raises:
          IndexError: `i` outside `0 <= i < len`; there are no negative places.
        """
        i = operator.index(i)
        _check_range(np.array([i]), self._length)
        example: Example = {name: array[i].copy() for name, array in self._arrays.items()}
        return example | {"index": np.int32(i)}

    def batch(self, indices: np.ndarray, /) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` (integers) as arrays with a leading axis n, with `index [n]` int32.

        Raises:
          IndexError: an index outside `0 <= i < len`.
          ValueError: indices that are not one axis of integers.
        """
        indices = _as_indices(indices)
        _check_range(indices, self._length)
        batch = {name: array[indices] for name, array in self._arrays.items()}
        return batch | {"index": indices.astype(np.int32)}


class Subset:
    """A view of some places of a source, in the order given. Its examples keep the parent's `index`.

    Args:
      source: the parent; it may be a `Subset` itself.
      indices: places in the parent, `[n]`.

    Raises:
      IndexError: an index outside the parent.
      ValueError: indices that are not one axis of integers.
    """

    def __init__(self, source: Source, indices: np.ndarray | Sequence[int]):
        self.source = source
        self.indices = _as_indices(indices)
        _check_range(self.indices, len(source))

    @property
    def info(self) -> SourceInfo:
        """The parent's; `splits` are the sizes as published, `len` is the size of the view."""
        return self.source.info

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int, /) -> Example:
        """The example at place `i` of the view.

        Raises:
          IndexError: `i` outside `0 <= i < len`.
        """
        i = operator.index(i)
        _check_range(np.array([i]), len(self.indices))
        return self.source[int(self.indices[i])]

    def batch(self, indices: np.ndarray, /) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` of the view, as `load_batch` gives the parent's.

        Raises:
          IndexError: an index outside `0 <= i < len`.
          ValueError: indices that are not one axis of integers.
        """
        indices = _as_indices(indices)
        _check_range(indices, len(self.indices))
        return load_batch(self.source, self.indices[indices])


def load_batch(source: Source, indices: np.ndarray | Sequence[int]) -> dict[str, np.ndarray]:
    """The examples at `indices [n]` as arrays: by the source's own `batch` if it has one, else stacked.

    Raises:
      IndexError: an index outside the source.
      ValueError: examples that have different fields or shapes, no indices for a source without `batch`, or
        indices that are not one axis of integers.
    """
    indices = _as_indices(indices)
    if isinstance(source, BatchSource):
        return source.batch(indices)
    if not len(indices):
        raise ValueError("a source without `batch` needs at least one index, but none was given")
    examples = [source[int(i)] for i in indices]
    batch = {}
    for name in sorted(set().union(*examples)):
        values = [np.asarray(example[name]) for example in examples if name in example]
        shapes = sorted({value.shape for value in values})
        if len(values) < len(examples) or len(shapes) > 1:
            had = f"{len(values)} of {len(examples)} examples have it, in the shapes {shapes}"
            raise ValueError(f"{name!r} can't be batched: {had}")
        batch[name] = np.stack(values)
    return batch


def load_training_batch(
    source: Source, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
) -> dict[str, np.ndarray]:
    """The examples at `indices [n]` as they are trained on in `epochs [n]`; of most sources, as they are.

    The next of this source takes the place of an unreadable one, whose `index` `unreadable [n]` has (else -1).

    Raises:
      IndexError: an index outside the source.
      InvalidValue: a size for a source whose images have one size, or a source without any readable example.
    """
    batch = load_as_trained_on(source, indices, epochs, seed, size)
    if "weight" not in batch:
        return batch
    readable = batch.pop("weight") > 0
    batch["unreadable"] = np.where(readable, -1, batch["index"]).astype(np.int32)
    for further in range(1, len(source)):
        missing = np.flatnonzero(~readable)
        if not len(missing):
            break
        others = load_as_trained_on(source, (indices[missing] + further) % len(source), epochs[missing], seed, size)
        readable[missing] = others.pop("weight") > 0
        for name, values in others.items():
            batch[name][missing] = values
    if not readable.all():
        raise InvalidValue(f"none of the {len(source)} pictures of {source.info.name!r} can be decoded: replace them")
    return batch


def load_as_trained_on(
    source: Source, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None
) -> dict[str, np.ndarray]:
    """As `load_training_batch`, but what is unreadable is left, with `weight` 0.0."""
    if isinstance(source, Subset):
        return load_as_trained_on(source.source, source.indices[indices], epochs, seed, size)
    if isinstance(source, TrainingSource):
        return source.training_batch(indices, epochs, seed, size)
    if size is not None:
        raise InvalidValue(f"train.resolutions is for pictures that are resized, not those of {source.info.name!r}")
    return load_batch(source, indices)


def count_unreadable(source: Source, places: np.ndarray) -> None:
    """Has a source count the examples, by their `index`, that were unreadable to another process.

    Raises:
      InvalidValue: it has a limit, and there are more.
    """
    if isinstance(source, Subset):
        count_unreadable(source.source, places)
    elif isinstance(source, CountingSource) and len(places):
        source.count_unreadable(places)


def carve(source: Source, held_out: int, seed: int) -> tuple[Subset, Subset]:
    """Splits a training source into (training, validation), disjoint and each in the source's order.

    The split depends on `(len(source), held_out, seed)` alone, and is the same on every machine.

    Args:
      held_out: examples in the validation part.
      seed: a non-negative integer.

    Raises:
      InvalidValue: `held_out` or `seed` out of its range.
    """
    if not 0 <= held_out < len(source):
        raise InvalidValue(f"held_out must be 0 or more and below the {len(source)} examples, got {held_out}")
    if seed < 0:
        raise InvalidValue(f"the seed of a split must not be negative, got {seed}")
    # Sorting raw bits, because NumPy promises the same bits in every version, but not the same `permutation`.
    order = np.argsort(np.random.PCG64(seed).random_raw(len(source)), kind="stable")
    validation, training = np.sort(order[:held_out]), np.sort(order[held_out:])
    return Subset(source, training), Subset(source, validation)


def _as_indices(indices: np.ndarray | Sequence[int]) -> np.ndarray:
    array = np.asarray(indices)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"indices must be one axis of integers, but are {array.dtype} {list(array.shape)}")
    return array.astype(np.int64)


def _check_range(indices: np.ndarray, length: int) -> None:
    outside = indices[(indices < 0) | (indices >= length)]
    if outside.size:
        raise IndexError(f"index {outside[0]} is outside the {length} examples (0 <= index < {length})")
