"""Records served as examples of one size: a random part of the picture in training, its centre in evaluation."""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np

from convnets.data.batch_rows import empty_batch, fill_answers
from convnets.data.canvases import canvases_of
from convnets.data.decoding import Picture, UnreadableImage
from convnets.data.image_cache import cached
from convnets.data.legend import Legend, Value, override
from convnets.data.parts import Part, central_part, part_of_random_shape, scaled_part
from convnets.data.records import Record, Records, RecordsInfo, digest_of
from convnets.data.resampling import resized_exactly, resized_quickly
from convnets.data.source import Example, SourceInfo
from convnets.data.unreadable import Unreadable
from convnets.errors import InvalidValue
from convnets.files import cache_folder


@dataclass(frozen=True)
class Serving:
    """How pictures are served; the options of every data set of image files.

    Attributes:
      size: side of training images, pixels.
      evaluation_size: side of evaluation images: the short side is brought to it, and the centre square is taken. 0:
        pictures keep their own sizes.
      canvas: of pictures that keep their own sizes the sides are padded to multiples of so many pixels, so that fewer
        programs are compiled. 1: nothing is padded, and each is evaluated exactly as if it were alone.
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
      mask_classes: names of the classes of masks, where the data have masks; (): those of the data set.
      mask_values: for each of them its level or colour in the files; (): the data set's, or 0, 1, 2, ... for
        `mask_classes`.
      mask_ignored: levels or colours of pixels that belong to no class; (): the data set's, or 255.
    """

    size: int = 224
    evaluation_size: int = 256
    canvas: int = 1
    crop: Literal["scaled", "random_shape", "centre"] = "scaled"
    scale: tuple[float, float] = (256 / 224, 480 / 224)
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    channels: Literal[1, 3] = 3
    boxes: int = 16
    unreadable: int = 0
    cache_size: int = 0
    cache: str = ""
    mask_classes: tuple[str, ...] = ()
    mask_values: tuple[Value, ...] = ()
    mask_ignored: tuple[Value, ...] = ()

    def check(self) -> None:
        """Refuses what no picture can be served by.

        Raises:
          InvalidValue: the first option that is out of its range.
        """
        for option in ("size", "canvas", "boxes"):
            if getattr(self, option) < 1:
                raise InvalidValue(f"data.{option} is {getattr(self, option)}, and must be 1 or more")
        for option in ("evaluation_size", "unreadable", "cache_size"):
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
        if self.mask_classes:
            override(None, self.mask_classes, self.mask_values, self.mask_ignored)

    def legend(self, info: RecordsInfo) -> Legend | None:
        """What the values in the masks of such records mean, if anybody says it.

        Raises:
          InvalidValue: options for masks where there are none, or that make no legend.
        """
        if "mask" in info.fields:
            return override(info.legend, self.mask_classes, self.mask_values, self.mask_ignored)
        if self.mask_options:
            raise InvalidValue(
                f"{next(iter(self.mask_options))} is for masks, and {info.name!r} has none: leave it empty"
            )
        return None

    @property
    def mask_options(self) -> dict[str, Any]:
        """Those that are given."""
        names = ("mask_classes", "mask_values", "mask_ignored")
        return {f"data.{name}": getattr(self, name) for name in names if getattr(self, name)}

    def serve(self, records: Records, split: str) -> "Pictures":
        """The source of records, from the cache if there is to be one.

        Args:
          split: that they are of, "train" or "test".

        Raises:
          InvalidValue: options out of their range or for masks that there are not, no room for the cache, or more than
            `unreadable` pictures for it that can't be decoded.
        """
        self.check()
        legend = self.legend(records.info)
        if self.cache_size and (split != "test" or self.cache_size == self.evaluation_size):
            records = cached(
                records,
                self.cache or cache_folder("pictures"),
                short_side=self.cache_size,
                channels=self.channels,
                unreadable=self.unreadable,
                legend=legend,
            )
            legend = legend and legend.served
        return Pictures(records, self, legend)


class Pictures:
    """The source that serves records.

    `source[i]` and `batch` give what is evaluated, `training_batch` what is trained on. An example is `image [S, S, C]`
    uint8, `index` int32 and, as the records have them, `label` int32, `boxes [K, 4]` float32 with `box_labels [K]`
    int32 (-1 in a place that is not filled), and `mask [S, S]` int32 (255 where ignored).

    With `evaluation_size` 0 what is evaluated has its own size instead. A batch is as large as the largest canvas of
    its examples: images lie in the upper left, and have 0 below and to the right, masks 255. `extent [2]` int32 is the
    picture's own height and width, and boxes are in its own pixels.

    Args:
      legend: what the values in the masks mean; None: they are the classes.
    """

    def __init__(self, records: Records, serving: Serving, legend: Legend | None = None):
        self.records, self.serving, self.legend = records, serving, legend
        self.unreadable = Unreadable(serving.unreadable)

    @property
    def info(self) -> SourceInfo:
        of, serving = self.records.info, self.serving
        shape = (serving.size, serving.size, serving.channels)
        side = serving.evaluation_size or serving.size
        return SourceInfo(
            of.name,
            of.classes,
            (side, side, serving.channels),
            of.splits,
            training_shape=shape,
            # Other meanings of masks are other answers.
            digest=digest_of(of.state | serving.mask_options),
            mask_classes=self.legend.classes if self.legend else (),
            own_sizes=not serving.evaluation_size,
            box_counts=self._box_counts(),
        )

    def _box_counts(self) -> tuple[int, int] | tuple[()]:
        """What is known of the records', as far as there are places for boxes."""
        if "boxes" not in self.records.info.fields:
            return ()
        fewest, most = self.records.info.box_counts or (0, self.serving.boxes)
        return min(fewest, self.serving.boxes), min(most, self.serving.boxes)

    @cached_property
    def canvases(self) -> np.ndarray | None:
        """The canvas of each picture, as `canvases_of` has it, int32 `[N, 2]`; None if all are served in one size."""
        return None if self.serving.evaluation_size else canvases_of(self.records, self.serving.canvas)

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
        batch = self._empty_for_evaluation(np.array([i]))
        self._evaluated(batch, 0, i)
        return {name: values[0] for name, values in batch.items() if name != "weight"}

    def batch(self, indices: np.ndarray, /) -> dict[str, np.ndarray]:
        """The examples at `indices [n]` as they are evaluated; `weight [n]` is 0.0 for a picture that is passed over.

        Raises:
          InvalidValue: more pictures that can't be decoded than are to be passed over.
        """
        batch = self._empty_for_evaluation(np.asarray(indices))
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
        side = size or self.serving.size
        batch = self._empty(indices, (side, side))
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

    def _empty(self, indices: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
        return empty_batch(indices, size, self.serving.channels, self.records.info.fields, self.serving.boxes)

    def _empty_for_evaluation(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        if self.canvases is None:
            return self._empty(indices, (self.serving.evaluation_size, self.serving.evaluation_size))
        height, width = self.canvases[indices].max(axis=0, initial=1).tolist()
        # A picture that is passed over fills its canvas, so that no size is 0.
        extent = np.tile(np.array([height, width], np.int32), (len(indices), 1))
        return self._empty(indices, (height, width)) | {"extent": extent}

    def _evaluated(self, batch: dict[str, np.ndarray], row: int, i: int) -> None:
        record, picture = self._open(i)
        upright, size = (picture.height, picture.width), batch["image"].shape[1:3]
        if self.canvases is None:
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
        fill_answers(batch, row, record, upright, part, size, self.legend)

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
        fill_answers(batch, row, record, (height, width), part, (side, side), self.legend)

    def _open(self, i: int) -> tuple[Record, Picture]:
        record = self.records[i]
        return record, Picture(record.image, record.name, self.serving.channels)


def draws_of(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of an example in an epoch."""
    return np.random.Generator(np.random.PCG64((seed, epoch, index)))
