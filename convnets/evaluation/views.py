"""The views of an image that are scored and averaged at test time: where crops lie, and at which scales.

An image is scaled so that its short side has some number of pixels, and crops of the size that the network was trained
on are taken from it. A view says where its crop lies on the image as it is served, so that any crop at any scale is one
resampling.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

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


@dataclass(frozen=True)
class Seen:
    """How one view shows the images of a batch; the arrays may be traced.

    Attributes:
      region: top, left, height and width of what is shown, in pixels of the images, float32 `[4]`.
      mirrored: 0 or 1.
      share: what the view counts among all.
      size: of the view, that the network is applied to.
      image: of the arrays that the images lie in.
      extents: height and width of each image, int `[N, 2]`.
      view_extents: those in the view.
    """

    region: Array
    mirrored: Array
    share: Array
    size: Size
    image: Size
    extents: Array
    view_extents: Array


def numbers_of(view: Crop | Map, image: Size, share: float) -> tuple[float, ...]:
    """Region, mirrored and share of a view of images of that size, as `see` takes them."""
    region = view[:4] if isinstance(view, Crop) else (0, 0, *image)
    return (*region, float(view.mirrored), share)


def see(images: Array, numbers: Array, size: Size, *, whole: bool, extents: Array | None = None) -> tuple[Array, Seen]:
    """The images as a view shows them, `[N, *size, C]`.

    Args:
      images: `[N, H, W, C]`, float.
      numbers: `numbers_of` the view, float32 `[6]`; may be traced.
      size: of the view.
      whole: whether it shows the whole images (a `Map`).
      extents: height and width of each image, where they lie in larger arrays, int `[N, 2]`.
    """
    image = images.shape[1], images.shape[2]
    own = jnp.tile(jnp.array(image), (len(images), 1)) if extents is None else extents
    region, mirrored, share = numbers[:4], numbers[4], numbers[5]
    if not whole:
        return crop(images, region, mirrored, size), Seen(region, mirrored, share, size, image, own, own)
    in_view = scaled_extents(own, image, size)
    return resample(images, size, own, in_view, mirrored), Seen(region, mirrored, share, size, image, own, in_view)


def crop(images: Array, region: Array, mirrored: Array | float, size: Size) -> Array:
    """A region of every image, resampled.

    Args:
      images: `[N, H, W, C]`, float.
      region: top, left, height, width, in pixels, perhaps fractions, float32 `[4]`; may be traced.
      mirrored: 0 or 1.

    Returns:
      `[N, *size, C]`: linear interpolation, over as many pixels as fall on one where the crop shrinks.
    """
    scale = jnp.array(size) / region[2:4]
    shape = (images.shape[0], *size, images.shape[3])
    crops = jax.image.scale_and_translate(images, shape, (1, 2), scale, -region[:2] * scale, "linear", antialias=True)
    return jnp.where(mirrored > 0, crops[:, :, ::-1], crops)


def scaled_extents(extents: Array, images: Size, view: Size) -> Array:
    """What of a view the images cover, int32 `[N, 2]`, at least a pixel.

    Args:
      extents: of the images, int32 `[N, 2]`.
      images: the size of the arrays they lie in.
      view: the size that these have in the view.
    """
    return jnp.maximum(jnp.round(extents * jnp.array(view) / jnp.array(images)), 1).astype(jnp.int32)


def resample(x: Array, size: Size, extents: Array, wanted: Array, mirrored: Array) -> Array:
    """Images `[N, H, W, C]` to `[N, *size, C]` by linear interpolation, which averages over pixels where they shrink.

    Args:
      extents: height and width of each image within `x`, int `[N, 2]`.
      wanted: those that it has in the result, int `[N, 2]`; beyond them its last pixels are repeated.
      mirrored: whether left and right change places, 0 or 1.
    """
    down = _weights(x.shape[1], size[0], extents[:, 0], wanted[:, 0])
    across = _weights(x.shape[2], size[1], extents[:, 1], wanted[:, 1], mirrored)
    return jnp.einsum("nhwc,nHh,nWw->nHWc", x, down, across, precision="highest")


def _weights(length: int, result: int, extents: Array, wanted: Array, mirrored: Array | float = 0.0) -> Array:
    """What each of `length` pixels counts for each of the `result`, float32 `[N, result, length]`."""
    extents, wanted = extents[:, None, None], wanted[:, None, None]
    ratio = extents / wanted
    pixels = jnp.arange(length) + 0.5
    pixels = jnp.where(mirrored > 0, extents - pixels, pixels)
    middle = jnp.minimum(jnp.arange(result)[None, :, None] + 0.5, wanted - 0.5) * ratio
    weights = jnp.maximum(1 - jnp.abs(middle - pixels) / jnp.maximum(ratio, 1), 0)
    weights = jnp.where((pixels > 0) & (pixels < extents), weights, 0)
    return weights / weights.sum(-1, keepdims=True)
