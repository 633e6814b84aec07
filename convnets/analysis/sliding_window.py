"""A network as a sliding window over a larger image, against one fully convolutional pass (lecture: "Replace fully
connected layer").

Cut out at every stride of the last map and classified one by one, the crops give the map of logits that the pass over
the whole image gives at once. Crops that overlap share their convolutions there. (Where a network pads its maps, the
two differ near the borders of the crops, which see zeros where the pass sees the image around them.)
"""

from dataclasses import dataclass

from convnets import architectures
from convnets.analysis.layer_row import total
from convnets.analysis.network_costs import native_shape
from convnets.analysis.summary import summarize
from convnets.errors import InvalidValue

CLASSES = 1000


@dataclass(frozen=True)
class SlidingWindow:
    """What a square image costs both ways.

    Attributes:
      network: its name in `create`.
      window: side of the crops, the network's native size, in pixels.
      size: side of the image, in pixels.
      stride: of the crops, in pixels: that of the map of logits.
      map_side: crops along a side of the image: the side of the map of logits.
      crop_multiply_adds: of one crop.
      pass_multiply_adds: of the one pass.
    """

    network: str
    window: int
    size: int
    stride: int
    map_side: int
    crop_multiply_adds: int
    pass_multiply_adds: int

    @property
    def windows_multiply_adds(self) -> int:
        """Of all crops that fit into the image, one by one; padding may let the map have one more along a side."""
        return self.formula_map_side**2 * self.crop_multiply_adds

    @property
    def saved(self) -> float:
        """How many times as much work the crops are."""
        return self.windows_multiply_adds / self.pass_multiply_adds

    @property
    def formula_map_side(self) -> int:
        """Crops along a side by hand: how many windows, a stride apart, fit into the image."""
        return (self.size - self.window) // self.stride + 1


def slide(network: str, size: int) -> SlidingWindow:
    """A network of 1,000 classes on an image of `size` x `size` pixels.

    Raises:
      InvalidValue: an unknown network, or an image smaller than the network's own.
    """
    module = architectures.create(network, CLASSES)
    window, _, channels = native_shape(module)
    if size < window:
        raise InvalidValue(
            f"the image is {size} pixels wide, and the window of {network} is {window}: give a larger size"
        )
    crop, image = (summarize(module, (side, side, channels)) for side in (window, size))
    logits = next(row for row in reversed(image) if not row.training_only)
    assert logits.stride is not None
    return SlidingWindow(
        network,
        window,
        size,
        stride=logits.stride[0],
        map_side=logits.output_shape[1],
        crop_multiply_adds=total(crop).multiply_adds,
        pass_multiply_adds=total(image).multiply_adds,
    )
