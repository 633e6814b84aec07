"""Records served as examples of one size: a random part of the picture in training, its centre in evaluation."""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from convnets.data.decoding import Picture, UnreadableImage
from convnets.data.image_cache import cached
from convnets.data.masks import mask_of
from convnets.data.parts import Part, central_part, part_of_random_shape, scaled_part
from convnets.data.records import Record, Records
from convnets.data.resampling import moved, nearest, resized_exactly, resized_quickly
from convnets.data.source import Example, SourceInfo
from convnets.data.unreadable import Unreadable
from convnets.errors import InvalidValue
from convnets.files import cache_folder

NO_OBJECT = -1
"""The label of a place for a box that no object fills; its box is (0, 0, 0, 0)."""
IGNORED = 255
"""The mask value of a pixel that no loss and no metric counts."""


@dataclass(frozen=True)
class Serving:
    """How pictures are served; the options of every data set of image files.

    Attributes:
      size: side of training images, pixels.
      evaluation_size: side of evaluation images: the short side is brought to it, and the centre square is taken.
      crop: the part of a picture that training sees: `scaled` (VGG, ResNet), of `random_shape` (GoogLeNet), or the
        `centre`.
      scale: of `scaled`: (smallest, largest) short side over `size`, at least 1.
      area, aspect: of `random_shape`: (smallest, largest) share of the area, and ratio of width to height.
      channels: 3 (RGB) or 1 (grey).
      boxes: places for boxes in each example, where the data has boxes; more boxes than that are left out.
      unreadable: so many pictures that can't be decoded are passed over, each named in the log.
      cache_size: short side to which larger pictures are brought once, and then kept on disk decoded, so that no epoch
        decodes; at least `size` and `evaluation_size`, or 0: nothing is kept. The test split is kept only at
        `evaluation_size` itself, because evaluation resizes once; what is held out of the training split for validation
        comes from the cache, and is resized twice if `cache_size` is larger.
      cache: folder of what is kept; empty for the user's cache.
    """

    size: int = 224
    evaluation_size: int = 256
    crop: Literal["scaled", "random_shape", "centre"] = "scaled"
    scale: tuple[float, float] = (256 / 224, 480 / 224)
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    channels: Literal[1, 3] = 3
    boxes: int = 16
    unreadable: int = 0
    cache_size: int = 0
    cache: str = ""

    def check(self) -> None:
        """Refuses what no picture can be served by.

        Raises:
          InvalidValue: the first option that is out of its range.
        """
        for option in ("size", "evaluation_size", "boxes"):
            if getattr(self, option) < 1:
                raise InvalidValue(f"data.{option} is {getattr(self, option)}, and must be 1 or more")
        for option in ("unreadable", "cache_size"):
            if getattr(self, option) < 0:
                raise InvalidValue(f"data.{option} is {getattr(self, option)}, and must not be negative")
        largest = max(self.size, self.evaluation_size)
        if 0 < self.cache_size < largest:
            raise InvalidValue(
                f"data.cache_size is {self.cache_size}, and must be 0 or at least {largest}, the larger of data.size "
                "and data.evaluation_size"
            )
        for option, least, most in (("scale", 1.0, math.inf), ("area", 0.0, 1.0), ("aspect", 0.0, math.inf)):
            interval = getattr(self, option)
            if not (len(interval) == 2 and least <= interval[0] <= interval[1] <= most and 0 < interval[0] < math.inf):
                limits = f"from {least:g}" if most == math.inf else f"in ({least:g}, {most:g}]"
                raise InvalidValue(f"data.{option} is (smallest, largest), {limits}, and is {tuple(interval)}")

    def serve(self, records: Records, split: str) -> "Pictures":
        """The source of records, from the cache if there is to be one.

        Args:
          split: that they are of, "train" or "test".

        Raises:
          InvalidValue: options out of their range, no room for the cache, or more than `unreadable` pictures for it
            that can't be decoded.
        """
        self.check()
        if self.cache_size and (split != "test" or self.cache_size == self.evaluation_size):
            records = cached(
                records,
                self.cache or cache_folder("pictures"),
                short_side=self.cache_size,
                channels=self.channels,
                unreadable=self.unreadable,
            )
        return Pictures(records, self)


class Pictures:
    """The source that serves records.

    `source[i]` and `batch` give what is evaluated, `training_batch` what is trained on. An example is `image [S, S, C]`
    uint8, `index` int32 and, as the records have them, `label` int32, `boxes [K, 4]` float32 with `box_labels [K]`
    int32 (-1 in a place that is not filled), and `mask [S, S]` int32 (255 where ignored).
    """

    def __init__(self, records: Records, serving: Serving):
        self.records, self.serving = records, serving
        self.unreadable = Unreadable(serving.unreadable)

    @property
    def info(self) -> SourceInfo:
        of, side, channels = self.records.info, self.serving.evaluation_size, self.serving.channels
        shape = (self.serving.size, self.serving.size, channels)
        return SourceInfo(
            of.name, of.classes, (side, side, channels), of.splits, training_shape=shape, digest=_digest(of.state)
        )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, i: int, /) -> Example:
        """The example at place `i` as it is evaluated.

        Raises:
          IndexError: `i` outside `0 <= i < len`.
          UnreadableImage: a picture that can't be decoded.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"index {i} is outside the {len(self)} examples (0 <= index < {len(self)})")
        batch = self._empty(np.array([i]), self.serving.evaluation_size)
        self._evaluated(batch, 0, i)
        return {name: values[0] for name, values in batch.items() if name != "weight"}

    def batch(self, indices: np.ndarray, /) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` as they are evaluated; `weight [n]` is 0.0 for a picture that is passed over.

        Raises:
          InvalidValue: more pictures that can't be decoded than are to be passed over.
        """
        batch = self._empty(indices, self.serving.evaluation_size)
        for row, i in enumerate(indices):
            try:
                self._evaluated(batch, row, int(i))
            except UnreadableImage as error:
                self._pass_over(batch, row, error)
        return batch

    def training_batch(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
    ) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` as they are trained on in `epochs [n]`; `weight [n]` as `batch` gives it.

        The part of a picture is drawn from (seed, epoch, index) alone.

        Args:
          size: side of the images instead of `serving.size`.

        Raises:
          InvalidValue: more pictures that can't be decoded than are to be passed over.
        """
        batch = self._empty(indices, size or self.serving.size)
        for row, (i, epoch) in enumerate(zip(indices, epochs, strict=True)):
            try:
                self._trained_on(batch, row, int(i), draws_of(seed, int(epoch), int(i)))
            except UnreadableImage as error:
                self._pass_over(batch, row, error)
        return batch

    def count_unreadable(self, places: np.ndarray) -> None:
        """Counts pictures that another process could not decode.

        Raises:
          InvalidValue: more pictures that can't be decoded than are to be passed over.
        """
        for i in {int(place) for place in places} - self.unreadable.places:
            try:
                self[i]
            except UnreadableImage as error:
                self.unreadable.pass_over(i, error)

    def _pass_over(self, batch: dict[str, np.ndarray], row: int, error: UnreadableImage) -> None:
        self.unreadable.pass_over(int(batch["index"][row]), error)
        batch["weight"][row] = 0.0

    def _empty(self, indices: np.ndarray, side: int) -> dict[str, np.ndarray]:
        fields, places, count = self.records.info.fields, self.serving.boxes, len(indices)
        batch: dict[str, np.ndarray] = {
            "image": np.zeros((count, side, side, self.serving.channels), np.uint8),
            "index": np.asarray(indices, np.int32),
            "weight": np.ones(count, np.float32),
        }
        if "label" in fields:
            batch["label"] = np.zeros(count, np.int32)
        if "boxes" in fields:
            batch["boxes"] = np.zeros((count, places, 4), np.float32)
            batch["box_labels"] = np.full((count, places), NO_OBJECT, np.int32)
        if "mask" in fields:
            batch["mask"] = np.full((count, side, side), IGNORED, np.int32)
        return batch

    def _evaluated(self, batch: dict[str, np.ndarray], row: int, i: int) -> None:
        record, picture = self._open(i)
        side = batch["image"].shape[1]
        part = central_part(picture.height, picture.width, side, side)
        batch["image"][row] = resized_exactly(picture.pixels(), part, (side, side))
        _answers(batch, row, record, picture, part)

    def _trained_on(self, batch: dict[str, np.ndarray], row: int, i: int, rng: np.random.Generator) -> None:
        record, picture = self._open(i)
        image, serving = batch["image"][row], self.serving
        height, width, side = picture.height, picture.width, image.shape[0]
        if serving.crop == "centre":
            part = central_part(height, width, side, side)
            image[...] = resized_exactly(picture.pixels(), part, (side, side))
        else:
            draw = {
                "scaled": partial(scaled_part, scale=serving.scale),
                "random_shape": partial(part_of_random_shape, area=serving.area, aspect=serving.aspect),
            }[serving.crop]
            part = draw(rng, height, width)
            resized_quickly(picture, part, image)
        _answers(batch, row, record, picture, part)

    def _open(self, i: int) -> tuple[Record, Picture]:
        record = self.records[i]
        return record, Picture(record.image, record.name, self.serving.channels)


def _digest(state: dict[str, Any]) -> str:
    """Of what says which examples there are in which order, wherever they lie."""
    examples = {name: value for name, value in state.items() if name not in ("path", "files")}
    return hashlib.sha256(json.dumps(examples, sort_keys=True).encode()).hexdigest()[:32]


def draws_of(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of an example in an epoch."""
    return np.random.Generator(np.random.PCG64((seed, epoch, index)))


def _answers(batch: dict[str, np.ndarray], row: int, record: Record, picture: Picture, part: Part) -> None:
    """Fills a row of a batch with all but the image."""
    size = batch["image"].shape[1:3]
    if "label" in batch:
        if record.label is None:
            raise InvalidValue(f"{record.name} has no label, and other examples of its split have one: leave it out")
        batch["label"][row] = record.label
    if "boxes" in batch and record.boxes is not None:
        boxes = moved(record.boxes, part, size)
        # The places go to boxes that are seen.
        seen = np.flatnonzero(boxes[:, 2] > boxes[:, 0])[: batch["boxes"].shape[1]]
        batch["boxes"][row, : len(seen)] = boxes[seen]
        # Boxes of no class are all of one.
        batch["box_labels"][row, : len(seen)] = 0 if record.box_labels is None else record.box_labels[seen]
    if "mask" in batch and record.mask is not None:
        mask = mask_of(record.mask, record.name, picture.height, picture.width)
        batch["mask"][row] = nearest(mask, part, size)
