"""A network as a sliding window over a larger image, against one fully convolutional pass (lecture: "Replace fully
connected layer"), counted.

Classified one by one, crops at every stride of the last map give the map of logits that the pass over the whole image
gives at once; overlapping crops share their convolutions there. (Where a network pads its maps the two differ: crops
see zeros where the pass sees the image around them.)
"""

from dataclasses import dataclass

import flax.linen as nn

from convnets.analysis.summary import summarize, total
from convnets.errors import InvalidValue
from convnets.evaluation.views import Size
from convnets.layers.geometry import positions


@dataclass(frozen=True)
class SlidingWindow:
    """What an image costs both ways; all sizes are heights and widths, in pixels.

    Attributes:
      network: its name.
      window: of the crops.
      image: that they are cut from.
      stride: from a crop to the next one: that of the map of logits.
      map: of logits.
      crop_multiply_adds: of one crop.
      pass_multiply_adds: of the one pass.
      padded: whether any layer pads its map, so that crops see zeros where the pass sees the image.
    """

    network: str
    window: Size
    image: Size
    stride: Size
    map: Size
    crop_multiply_adds: int
    pass_multiply_adds: int
    padded: bool

    @property
    def crops(self) -> Size:
        """How many fit into the image by hand, down and across; padding may let the map have one more."""
        down, across = map(positions, self.image, self.window, self.stride)
        return down, across

    @property
    def windows_multiply_adds(self) -> int:
        """Of all crops that fit into the image, one by one."""
        return self.crops[0] * self.crops[1] * self.crop_multiply_adds

    @property
    def saved(self) -> float:
        """How many times as much work the crops are."""
        return self.windows_multiply_adds / self.pass_multiply_adds


def slide(network: nn.Module, window: tuple[int, int, int], image: Size, name: str) -> SlidingWindow:
    """The network `name` over an image of that height and width.

    Args:
      window: `(H, W, C)` of the images that it gives one vector of logits.

    Raises:
      InvalidValue: an image smaller than the window, or a network whose logits are no map.
    """
    for side, whole, part in (("wide", image[1], window[1]), ("high", image[0], window[0])):
        if whole < part:
            raise InvalidValue(
                f"the image is {whole} pixels {side}, and the window of {name} is {part}: give a larger size"
            )
    crop, whole_image = (summarize(network, (*size, window[2])) for size in (window[:2], image))
    rows = [row for row in whole_image if not row.training_only]
    logits = rows[-1]
    if logits.stride is None or len(logits.output_shape) != 4:
        raise InvalidValue(
            f"the logits of {name} are no map of evenly spaced regions of the image: slide another network"
        )
    return SlidingWindow(
        name,
        window[:2],
        image,
        logits.stride,
        map=(logits.output_shape[1], logits.output_shape[2]),
        crop_multiply_adds=total(crop).multiply_adds,
        pass_multiply_adds=total(whole_image).multiply_adds,
        padded=any(row.offset is not None and min(row.offset) < 0 for row in rows),
    )
