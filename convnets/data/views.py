"""Views of a source: some of its places, and some of its classes. Whatever is asked of a view its parent answers."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convnets.data.source import Example, Source, as_index, as_indices, random_order
from convnets.errors import InvalidValue, nearest


class Subset(Source):
    """Some places of a source, in the order given. Its examples keep the parent's `index`, and `info` is the parent's.

    Args:
      source: the parent; it may be a view itself.
      indices: places in the parent, `[n]`.

    Raises:
      IndexError: an index outside the parent.
      ValueError: indices that are not one axis of integers.
    """

    def __init__(self, source: Source, indices: np.ndarray | Sequence[int]):
        self.source, self.info = source, source.info
        self.indices = as_indices(indices, len(source))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int, /) -> Example:
        """The example at place `i` of the view; IndexError for `i` outside `0 <= i < len`."""
        return self._served(self.source[int(self.indices[as_index(i, len(self))])])

    def batch(self, indices: np.ndarray | Sequence[int], /) -> dict[str, np.ndarray]:
        """As the parent's, of places of the view."""
        return self._served(self.source.batch(self._in_parent(indices)))

    def training_batch(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
    ) -> dict[str, np.ndarray]:
        """As the parent's, of places of the view."""
        return self._served(self.source.training_batch(self._in_parent(indices), epochs, seed, size))

    def places(self) -> np.ndarray:
        """Those in the source below all views."""
        return np.asarray(self.source.places()[self.indices])

    @property
    def labels(self) -> np.ndarray | None:
        """Those of the parent's examples that are in the view."""
        labels = self.source.labels
        return None if labels is None else self._served({"label": labels[self.indices]})["label"]

    @property
    def buckets(self) -> np.ndarray | None:
        """Those of the parent's examples that are in the view."""
        buckets = self.source.buckets
        return None if buckets is None else buckets[self.indices]

    def name_of(self, i: int) -> str:
        """The parent's name."""
        return self.source.name_of(int(self.indices[i]))

    def check_masks(self, places: np.ndarray | None = None) -> None:
        """The parent's check, of the examples of the view."""
        self.source.check_masks(self.indices if places is None else self.indices[places])

    def count_unreadable(self, indices: np.ndarray) -> None:
        """The parent counts: examples have its `index`."""
        self.source.count_unreadable(indices)

    def file_stamps(self) -> list[tuple[str, int, int]]:
        """Those of all the parent's files."""
        return self.source.file_stamps()

    def _in_parent(self, indices: np.ndarray | Sequence[int]) -> np.ndarray:
        return np.asarray(self.indices[as_indices(indices, len(self.indices))])

    def _served(self, examples: Example) -> Example:
        """An example, or a batch, as the view serves it."""
        return examples


class ClassSubset(Subset):
    """Some examples of some classes, which are numbered anew.

    Args:
      source: examples with labels.
      indices: `[n]`, places of examples of those classes.
      classes: their names, in the order of the new labels.
      split: the name of what `source` is the whole of; its size is that of the view.
    """

    def __init__(self, source: Source, indices: np.ndarray, classes: Sequence[str], split: str):
        super().__init__(source, indices)
        known = source.info.classes
        numbers = {known.index(name): new for new, name in enumerate(classes)}
        self._new = np.array([numbers.get(old, -1) for old in range(len(known))], np.int32)
        digest = hashlib.sha256(source.info.digest.encode() + self.indices.tobytes()).hexdigest()
        sizes = source.info.splits | {split: len(indices)}
        self.info = replace(source.info, classes=tuple(classes), splits=sizes, digest=digest)

    def _served(self, examples: Example) -> Example:
        return examples | {"label": self._new[examples["label"]]}


def class_subset(source: Source, split: str, classes: Sequence[str] = (), per_class: int = 0, seed: int = 0) -> Source:
    """The examples of some classes, at most so many of each; which ones depends on the labels and the seed alone.

    Args:
      split: the name of what the source is the whole of.
      classes: their names, in the order of the new labels; none: all.
      per_class: 0 for all examples.

    Raises:
      InvalidValue: an unknown class or one named twice, fewer examples than asked for, or examples without labels.
    """
    if not classes and not per_class:
        return source
    name, known = source.info.name, source.info.classes
    for given in classes:
        if given not in known:
            raise InvalidValue(f"subset.classes has {given!r}, and {name!r} has no such class: {nearest(given, known)}")
    if len(set(classes)) < len(classes):
        raise InvalidValue(f"subset.classes is {tuple(classes)}, and must name no class twice")
    labels = source.labels
    if labels is None:
        raise InvalidValue(f"subset is for examples with one label each, and those of {name!r} have none")
    order = random_order(len(labels), np.random.PCG64(seed))
    chosen = []
    for wanted in classes or known:
        of_class = order[labels[order] == known.index(wanted)]
        if len(of_class) < max(per_class, 1):
            raise InvalidValue(
                f"subset asks for {max(per_class, 1)} examples of {wanted!r}, and {name!r} has {len(of_class)}"
            )
        chosen.append(of_class[: per_class or None])
    return ClassSubset(source, np.sort(np.concatenate(chosen)), classes or known, split)


def train_validation_split(source: Source, held_out: int, seed: int) -> tuple[Subset, Subset]:
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
    order = random_order(len(source), np.random.PCG64(seed))
    return Subset(source, np.sort(order[held_out:])), Subset(source, np.sort(order[:held_out]))
