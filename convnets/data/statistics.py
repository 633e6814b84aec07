"""Mean, std and principal components of the pixels of a data set."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from convnets.data.source import Source
from convnets.errors import InvalidValue

WHITE = 255

PIXELS_AT_ONCE = 2**18
"""Small enough for the cache, and far below the 2^53 / 255^2 pixels whose sums of products are exact in float64."""
OWN_SIZES_AT_ONCE = 16


@dataclass(frozen=True)
class PixelStatistics:
    """Of all pixels of a source, on the scale where black is 0 and white is 1.

    Attributes:
      mean: `[C]`, of each channel.
      std: `[C]`, the standard deviation of each channel, with the number of pixels as the divisor.
      components: `[C][C]`, the principal components of a pixel's channels, largest first, each as long as the standard
        deviation along it; `sum_i z_i * components[i]` with z_i ~ N(0, 1) has the pixels' covariance. Its largest
        entry is positive.
      images, pixels: how many there were; a pixel has C values.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    images: int
    pixels: int

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that `json.dumps` takes; numbers come back from it unchanged."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PixelStatistics":
        """From what `to_json` gave.

        Raises:
          InvalidValue: other fields, or fields that are not such numbers.
        """
        # Its name in earlier files.
        content = {"std" if name == "deviation" else name: value for name, value in content.items()}
        try:
            mean, std = (tuple(map(float, content[name])) for name in ("mean", "std"))
            components = tuple(tuple(map(float, row)) for row in content["components"])
            found = cls(mean, std, components, int(content["images"]), int(content["pixels"]))
            lengths = {len(mean), len(std), len(components), *map(len, components)}
            if content.keys() != asdict(found).keys() or len(lengths) > 1:
                raise ValueError("other fields or numbers of channels")
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidValue(
                f"pixel statistics have {', '.join(field.name for field in fields(cls))}, as many numbers as channels "
                f"in each list, and were given as {content}"
            ) from error
        return found


def pixel_statistics(
    source: Source, *, batch_size: int = 1000, progress: Callable[[int, int], None] | None = None
) -> PixelStatistics:
    """The statistics of every pixel of every image that the source serves for evaluation, its padding included.

    What pictures of their own sizes are padded with to be a batch is not counted.

    Sums and sums of products are exact, so the result depends neither on the order nor on `batch_size`.

    Args:
      source: images `[H, W, C]` uint8.
      batch_size: images read at once.
      progress: called with (images done, images in all) after each batch.

    Raises:
      InvalidValue: a source without pixels.
      ValueError: images that are not uint8.
    """
    images, channels = len(source), source.info.image_shape[-1]
    if not images * math.prod(source.info.image_shape):
        raise InvalidValue(
            f"statistics need at least one pixel, and {source.info.name!r} has {images} images of "
            f"{source.info.image_shape}"
        )
    # Python's own integers, which do not overflow.
    sums = np.zeros(channels, object)
    products = np.zeros((channels, channels), object)
    seen = pixels = 0
    # Padded to the largest among them, pictures of their own sizes take more room.
    batch_size = min(batch_size, OWN_SIZES_AT_ONCE) if source.info.variable_size else batch_size
    for start in range(0, images, batch_size):
        stop = min(start + batch_size, images)
        examples = source.batch(np.arange(start, stop))
        batch, extents = examples["image"], examples.get("extent")
        if batch.dtype != np.uint8:
            raise ValueError(f"statistics are of uint8 images, but {source.info.name!r} serves {batch.dtype}")
        if "weight" in examples:
            counted = examples["weight"] > 0
            batch, extents = batch[counted], None if extents is None else extents[counted]
        if extents is None:
            values = batch.reshape(-1, channels)
        else:
            own = [image[:height, :width] for image, (height, width) in zip(batch, extents, strict=True)]
            values = np.concatenate([batch[:0].reshape(0, channels), *(image.reshape(-1, channels) for image in own)])
        seen, pixels = seen + len(batch), pixels + len(values)
        for first in range(0, len(values), PIXELS_AT_ONCE):
            part = values[first : first + PIXELS_AT_ONCE].astype(np.float64)
            sums += part.sum(axis=0).astype(np.int64).astype(object)
            products += (part.T @ part).astype(np.int64).astype(object)
        if progress is not None:
            progress(stop, images)
    if not seen:
        raise InvalidValue(f"statistics need at least one picture, and none of {source.info.name!r} can be decoded")
    return _from_sums(sums, products, seen, pixels)


def _from_sums(sums: np.ndarray, products: np.ndarray, images: int, pixels: int) -> PixelStatistics:
    """From sums `[C]` and sums of products `[C, C]`, both of Python's integers."""
    # The difference is of integers too, so that nothing is lost where the deviation is far below the mean.
    covariance = (pixels * products - np.outer(sums, sums)) / (pixels**2 * WHITE**2)
    covariance = covariance.astype(np.float64)
    variances, directions = np.linalg.eigh(covariance)
    components = np.sqrt(np.maximum(variances, 0)) * directions
    return PixelStatistics(
        mean=tuple(float(total / (pixels * WHITE)) for total in sums),
        std=tuple(np.sqrt(np.diag(covariance)).tolist()),
        components=tuple(tuple(_upright(component).tolist()) for component in components.T[::-1]),
        images=images,
        pixels=pixels,
    )


def _upright(component: np.ndarray) -> np.ndarray:
    """With the sign that makes the largest entry positive, the first of those that differ by rounding alone."""
    size = np.abs(component)
    return component * (-1.0 if component[np.argmax(size >= size.max() * (1 - 1e-6))] < 0 else 1.0)
