"""Records served as examples of one size: a random part of the picture in training, its centre in evaluation."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convnets.data.answers import empty_batch, fill_answers
from convnets.data.decoding import Picture, UnreadableImage
from convnets.data.image_cache import cached
from convnets.data.label_map import LabelMap
from convnets.data.picture_options import PictureOptions
from convnets.data.records import Record, Records, are_files, buckets_of, digest_of, misfits
from convnets.data.resampling import (
    Part,
    central_part,
    part_of_random_shape,
    resized_exactly,
    resized_quickly,
    scaled_part,
)
from convnets.data.source import Example, Source, as_index, as_indices
from convnets.errors import InvalidValue
from convnets.files import cache_folder

log = logging.getLogger(__name__)


class Pictures(Source):
    """The source that serves records.

    `source[i]` and `batch` give what is evaluated, `training_batch` what is trained on. An example is `image [S, S, C]`
    uint8, `index` int32 and, as the records have them, `label` int32, `boxes [K, 4]` float32 with `box_labels [K]`
    int32 (-1 in a place that is not filled), and `mask [S, S]` int32 (255 where ignored).

    With `evaluation_size` 0 what is evaluated has its own size instead. A batch is as large as the largest bucket of
    its examples: images lie in the upper left, and have 0 below and to the right, masks 255. `extent [2]` int32 is the
    picture's own height and width, and boxes are in its own pixels.

    Args:
      label_map: what the values in the masks mean; None: they are the classes.
    """

    def __init__(self, records: Records, options: PictureOptions, label_map: LabelMap | None = None):
        self.records, self.options, self.label_map = records, options, label_map
        self.unreadable = UnreadablePictures(options.unreadable)
        side = options.evaluation_size or options.size
        fewest, most = records.info.box_counts or (0, options.boxes)
        self.info = replace(
            records.info,
            image_shape=(side, side, options.channels),
            training_shape=(options.size, options.size, options.channels),
            # Another meaning of masks is another answer.
            digest=digest_of(records.info.state | options.mask_options),
            mask_classes=label_map.classes if label_map else (),
            variable_size=not options.evaluation_size,
            box_counts=(min(fewest, options.boxes), min(most, options.boxes)) if "boxes" in records.info.fields else (),
        )

    @cached_property
    def buckets(self) -> np.ndarray | None:
        """The bucket of each picture, as `buckets_of` has it, int32 `[N, 2]`; None if all are served in one size."""
        return None if self.options.evaluation_size else buckets_of(self.records, self.options.bucket)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, i: int, /) -> Example:
        """The example at place `i` as it is evaluated.

        Raises:
          IndexError: `i` outside `0 <= i < len`.
          UnreadableImage: a picture that can't be decoded.
        """
        batch = self._empty_for_evaluation(np.array([as_index(i, len(self))]))
        self._evaluated(batch, 0, i)
        return {name: values[0] for name, values in batch.items() if name != "weight"}

    def batch(self, indices: np.ndarray | Sequence[int], /) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` as they are evaluated; `weight [n]` is 0.0 for a picture that is passed over.

        Raises:
          InvalidValue: more pictures that can't be decoded than are to be passed over.
        """
        indices = as_indices(indices, len(self))
        batch = self._empty_for_evaluation(indices)
        for row, i in enumerate(indices.tolist()):
            with self._passing_over(batch, row):
                self._evaluated(batch, row, i)
        return batch

    def training_batch(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
    ) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` as they are trained on in `epochs [n]`; `weight [n]` as `batch` gives it.

        The part of a picture is drawn from (seed, epoch, index) alone.

        Args:
          size: side of the images instead of `options.size`.

        Raises:
          InvalidValue: more pictures that can't be decoded than are to be passed over.
        """
        side = size or self.options.size
        batch = self._empty(indices, (side, side))
        for row, (i, epoch) in enumerate(zip(indices.tolist(), epochs.tolist(), strict=True)):
            with self._passing_over(batch, row):
                self._trained_on(batch, row, i, np.random.Generator(np.random.PCG64((seed, epoch, i))))
        return batch

    @property
    def labels(self) -> np.ndarray | None:
        """The label of every example, int32 `[N]`, if they have one."""
        if "label" not in self.records.info.fields:
            return None
        return np.array([self.records[i].label for i in range(len(self))], np.int32)

    def name_of(self, i: int) -> str:
        """The picture's path, or its place in the data set."""
        return self.records[i].name

    def check_masks(self, places: np.ndarray | None = None) -> None:
        """Compares the sizes of pictures and masks that are files; those of a cache were compared when it was made."""
        if not are_files(self.records):
            return
        everywhere = range(len(self)) if places is None else places.tolist()
        for place, fault in misfits(self.records, everywhere).items():
            self.unreadable.pass_over(place, fault)

    def file_stamps(self) -> list[tuple[str, int, int]]:
        """Name, size and time of the last change (ns) of every picture that is a file."""
        if not are_files(self.records):
            return []
        images = (self.records[i].image for i in range(len(self)))
        stats = ((image, image.stat()) for image in images if isinstance(image, Path) and image.exists())
        return [(str(image), status.st_size, status.st_mtime_ns) for image, status in stats]

    def count_unreadable(self, indices: np.ndarray) -> None:
        """Counts pictures that another process could not decode, up to `options.unreadable` different ones."""
        for i in {int(index) for index in indices} - self.unreadable.places:
            try:
                self[i]
            except UnreadableImage as error:
                self.unreadable.pass_over(i, error)

    @contextmanager
    def _passing_over(self, batch: dict[str, np.ndarray], row: int) -> Iterator[None]:
        try:
            yield
        except UnreadableImage as error:
            self.unreadable.pass_over(int(batch["index"][row]), error)
            batch["weight"][row] = 0.0

    def _empty(self, indices: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
        return empty_batch(indices, size, self.options.channels, self.records.info.fields, self.options.boxes)

    def _empty_for_evaluation(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        if self.buckets is None:
            return self._empty(indices, (self.options.evaluation_size, self.options.evaluation_size))
        height, width = self.buckets[indices].max(axis=0, initial=1).tolist()
        # A picture that is passed over fills its bucket, so that no size is 0.
        extent = np.tile(np.array([height, width], np.int32), (len(indices), 1))
        return self._empty(indices, (height, width)) | {"extent": extent}

    def _evaluated(self, batch: dict[str, np.ndarray], row: int, i: int) -> None:
        record, picture = self._open(i)
        upright, size = (picture.height, picture.width), batch["image"].shape[1:3]
        if self.buckets is None:
            part = central_part(*upright, *size)
            batch["image"][row] = resized_exactly(picture.pixels(), part, size)
        else:
            if upright[0] > size[0] or upright[1] > size[1]:
                raise UnreadableImage(
                    f"{record.name} has {upright[0]} x {upright[1]} pixels, and its header said at most {size[0]} x "
                    f"{size[1]} when it was first read"
                )
            part, size = Part(0, 0, *upright), upright
            batch["extent"][row] = upright
            batch["image"][row, : upright[0], : upright[1]] = picture.pixels()
        fill_answers(batch, row, record, upright, part, size, self.label_map)

    def _trained_on(self, batch: dict[str, np.ndarray], row: int, i: int, rng: np.random.Generator) -> None:
        record, picture = self._open(i)
        image, options = batch["image"][row], self.options
        height, width, side = picture.height, picture.width, image.shape[0]
        if options.crop == "centre":
            part = central_part(height, width, side, side)
            image[...] = resized_exactly(picture.pixels(), part, (side, side))
        else:
            if options.crop == "scaled":
                part = scaled_part(rng, height, width, options.scale)
            else:
                part = part_of_random_shape(rng, height, width, options.area, options.aspect)
            resized_quickly(picture, part, image)
        fill_answers(batch, row, record, (height, width), part, (side, side), self.label_map)

    def _open(self, i: int) -> tuple[Record, Picture]:
        record = self.records[i]
        return record, Picture(record.image, record.name, self.options.channels)


class UnreadablePictures:
    """The unreadable pictures of a split, as far as they were met: named, counted, and passed over up to a limit.

    Sent to a worker process, it counts no longer there: a batch says in `unreadable` which pictures it went without,
    and `Reader` (pipeline.py) has them counted by the process that trains.

    Args:
      limit: so many different ones may be passed over.
    """

    def __init__(self, limit: int, counts: bool = True):
        self.limit, self.counts = limit, counts
        self.places: set[int] = set()
        self._lock = threading.Lock()

    def pass_over(self, index: int, error: UnreadableImage) -> None:
        """Logs the picture at a place of the split, the first time that it is met.

        Raises:
          InvalidValue: there are more than the limit.
        """
        if self.limit and not self.counts:
            return
        with self._lock:
            known = index in self.places
            self.places.add(index)
            count = len(self.places)
        if count > self.limit:
            more = f"and {self.limit} were passed over before it" if self.limit else "and none is to be passed over"
            advice = f"{error.advice}, or else " if error.advice else ""
            raise InvalidValue(
                f"{error.fault}, {more}: {advice}replace it, remove it, or raise data.unreadable above {self.limit}"
            ) from error
        if not known:
            log.warning("%s: passed over, %d of at most %d", error.fault, count, self.limit)

    def __reduce__(self) -> tuple[Any, ...]:
        return UnreadablePictures, (self.limit, False)


def serve(records: Records, options: PictureOptions, split: str) -> Pictures:
    """The source of records, from the cache of decoded pictures if there is to be one.

    Args:
      split: that they are of, "train" or "test".

    Raises:
      InvalidValue: options out of their range or for masks that there are not, no room for the cache, or more than
        `options.unreadable` pictures for it that can't be decoded.
    """
    options.check()
    label_map = options.label_map(records.info)
    if options.cache_size and (split != "test" or options.cache_size == options.evaluation_size):
        records = cached(
            records,
            options.cache or cache_folder("pictures"),
            short_side=options.cache_size,
            channels=options.channels,
            unreadable=options.unreadable,
            label_map=label_map,
        )
        label_map = label_map and label_map.served
    return Pictures(records, options, label_map)
