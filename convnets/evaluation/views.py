"""The views of an image that are scored and averaged at test time: where crops lie, and at which scales.

An image is scaled so that its short side has some number of pixels, and crops of the size that the network was trained
on are taken from it. A view says where its crop lies on the image as it is served, so that any crop at any scale is one
resampling.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Size = tuple[int, int]
"""Height and width, in pixels."""

Place = tuple[int, int]
"""Top and left."""


class Crop(NamedTuple):
    """A region of an image, in its pixels, that is resampled to the network's size, and mirrored or not."""

    top: float
    left: float
    height: float
    width: float
    mirrored: bool = False


class Map(NamedTuple):
    """A whole image resampled to that size, for a fully convolutional network; its map of scores is averaged."""

    height: int
    width: int
    mirrored: bool = False


@dataclass(frozen=True)
class Views:
    """What an image is scored by: the mean over crops, the mean over maps, or the mean of the two."""

    crops: tuple[Crop, ...] = ()
    maps: tuple[Map, ...] = ()

    def __len__(self) -> int:
        return len(self.crops) + len(self.maps)

    def shares(self) -> tuple[float, float]:
        """What a crop and a map count."""
        kinds = bool(self.crops) + bool(self.maps)
        return 1 / (kinds * max(len(self.crops), 1)), 1 / (kinds * max(len(self.maps), 1))


def scaled(image: Size, size: Size, scale: float) -> Size:
    """The size of an image that is scaled so that it just covers crops of `scale` times `size`.

    For square crops its short side then has `scale` times as many pixels as they have. Its shape is kept to the pixel.
    """
    bound = 0 if size[0] * image[1] >= size[1] * image[0] else 1
    pixels = round(scale * size[bound])
    height, width = (max(part, round(side * pixels / image[bound])) for part, side in zip(size, image, strict=True))
    return height, width


def centre(image: Size, size: Size) -> Place:
    """Of a crop in the middle, half a pixel up and to the left where it can't be."""
    return (image[0] - size[0]) // 2, (image[1] - size[1]) // 2


def corners_and_centre(image: Size, size: Size) -> tuple[Place, ...]:
    """Upper left, upper right, lower left, lower right, centre."""
    bottom, right = image[0] - size[0], image[1] - size[1]
    return (0, 0), (0, right), (bottom, 0), (bottom, right), centre(image, size)


def grid(image: Size, size: Size, count: int) -> tuple[Place, ...]:
    """`count` x `count` crops at equal distances, from edge to edge."""
    rows, columns = (
        [round(i * (whole - part) / (count - 1)) for i in range(count)] for whole, part in zip(image, size, strict=True)
    )
    return tuple((top, left) for top in rows for left in columns)


def largest_windows(image: Size, size: Size) -> tuple[Size, tuple[Place, ...]]:
    """The largest part of the shape of `size`, a square if that is one: its own size, and three places for it.

    They are at the left or top, in the middle, and at the right or bottom.
    """
    times = min(image[0] / size[0], image[1] / size[1])
    window = round(size[0] * times), round(size[1] * times)
    last = image[0] - window[0], image[1] - window[1]
    return window, ((0, 0), (last[0] // 2, last[1] // 2), last)


def crops_at(image: Size, scale: Size, size: Size, places: Sequence[Place]) -> Iterator[Crop]:
    """Crops of `size` at those places of the image scaled to `scale`, and their mirror images behind them."""
    down, across = image[0] / scale[0], image[1] / scale[1]
    for mirrored in (False, True):
        for top, left in places:
            yield Crop(top * down, left * across, size[0] * down, size[1] * across, mirrored)
