"""The options of every data set of image files."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from convnets.data.label_map import LabelMap, Value, override
from convnets.data.source import SourceInfo
from convnets.errors import InvalidValue


@dataclass(frozen=True)
class PictureOptions:
    """How pictures are served; the options of every data set of image files.

    Attributes:
      size: side of training images, pixels.
      evaluation_size: side of evaluation images: the short side is brought to it, and the centre square is taken. 0:
        pictures keep their own sizes.
      bucket: of pictures that keep their own sizes the sides are padded to multiples of so many pixels, so that fewer
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
    bucket: int = 1
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
        """Refuses options out of their range.

        Raises:
          InvalidValue: the first option that is out of its range.
        """
        for option in ("size", "bucket", "boxes"):
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

    def label_map(self, info: SourceInfo) -> LabelMap | None:
        """What the values in the masks of such records mean, if anybody says it.

        Raises:
          InvalidValue: options for masks where there are none, or that make no label map.
        """
        if "mask" in info.fields:
            return override(info.label_map, self.mask_classes, self.mask_values, self.mask_ignored)
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
