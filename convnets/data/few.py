"""Some classes of a data set, and few examples of each: what transfer has to make do with."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convnets.data.canvases import canvases
from convnets.data.pictures import Pictures
from convnets.data.source import (
    Example,
    InMemorySource,
    Source,
    Subset,
    count_unreadable,
    load_as_trained_on,
    load_batch,
)
from convnets.errors import InvalidValue, nearest


class Few:
    """A view of a source that has some of its examples, and some of its classes, numbered anew.

    Args:
      source: examples with labels.
      places: `[n]` of examples of those classes.
      classes: their names, in the order of the new labels.
      split: the name of what `source` is the whole of; its size is that of the view.
    """

    def __init__(self, source: Source, places: np.ndarray, classes: Sequence[str], split: str):
        info = source.info
        self.view = Subset(source, places)
        numbers = {info.classes.index(name): new for new, name in enumerate(classes)}
        self._new = np.array([numbers.get(old, -1) for old in range(len(info.classes))], np.int32)
        digest = hashlib.sha256(info.digest.encode() + places.astype(np.int64).tobytes()).hexdigest()
        sizes = info.splits | {split: len(places)}
        self.info = replace(info, classes=tuple(classes), splits=sizes, digest=digest)

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, i: int, /) -> Example:
        """The example at place `i` of the view."""
        example = self.view[i]
        return example | {"label": self._new[example["label"]]}

    @property
    def canvases(self) -> np.ndarray | None:
        """As the parent has them."""
        return canvases(self.view)

    def batch(self, indices: np.ndarray, /) -> dict[str, np.ndarray]:
        """As `load_batch` gives the parent's."""
        return self._relabelled(load_batch(self.view, indices))

    def training_batch(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
    ) -> dict[str, np.ndarray]:
        """As the parent serves them for training."""
        return self._relabelled(load_as_trained_on(self.view, indices, epochs, seed, size))

    def count_unreadable(self, places: np.ndarray) -> None:
        """Has the parent count them."""
        count_unreadable(self.view, places)

    def _relabelled(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return batch | {"label": self._new[batch["label"]]}


def few(source: Source, split: str, classes: Sequence[str] = (), per_class: int = 0, seed: int = 0) -> Source:
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
    labels = labels_of(source)
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    chosen = []
    for wanted in classes or known:
        of_class = order[labels[order] == known.index(wanted)]
        if len(of_class) < max(per_class, 1):
            raise InvalidValue(
                f"subset asks for {max(per_class, 1)} examples of {wanted!r}, and {name!r} has {len(of_class)}"
            )
        chosen.append(of_class[: per_class or None])
    return Few(source, np.sort(np.concatenate(chosen)), classes or known, split)


def labels_of(source: Source) -> np.ndarray:
    """The label of every example, int32 `[N]`; no picture is decoded.

    Raises:
      InvalidValue: examples without labels.
    """
    if isinstance(source, InMemorySource) and source.labels is not None:
        return source.labels
    if isinstance(source, Pictures) and "label" in source.records.info.fields:
        return np.array([source.records[i].label for i in range(len(source))], np.int32)
    raise InvalidValue(f"subset is for examples with one label each, and those of {source.info.name!r} have none")
