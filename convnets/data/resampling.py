"""The part of a picture that an example shows, and how it is brought to its size.

A part is resized exactly as Pillow does it, or quickly by OpenCV where that comes close.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from convnets.data.decoding import Picture
from convnets.errors import InvalidValue

# One call works on one image; the pipeline has threads of its own.
cv2.setNumThreads(0)

ATTEMPTS = 10
"""Draws of a part until one fits into the picture."""
SKIPPED = 2.0
"""From this factor of shrinking on, two neighbours no longer stand for all the pixels that become one."""


@dataclass(frozen=True)
class Part:
    """A rectangle of a picture, in its pixels; it may begin and end between two of them."""

    top: float
    left: float
    height: float
    width: float

    def scaled(self, rows: float, columns: float) -> "Part":
        """The same part of a picture whose height and width are so many times as large."""
        return Part(self.top * rows, self.left * columns, self.height * rows, self.width * columns)


def central_part(height: int, width: int, rows: int, columns: int) -> Part:
    """The centre of a picture of `height` x `width` that becomes `rows` x `columns` pixels, its aspect kept.

    The picture just covers the result: of a square result, its short side becomes the side. The sides of the scaled
    picture are whole pixels, and so is the place of the result in it.
    """
    scale = max(columns / width, rows / height)
    covering_height, covering_width = max(rows, round(height * scale)), max(columns, round(width * scale))
    to_y, to_x = height / covering_height, width / covering_width
    top, left = (covering_height - rows) // 2 * to_y, (covering_width - columns) // 2 * to_x
    return Part(top, left, min(rows * to_y, height - top), min(columns * to_x, width - left))


def scaled_part(rng: np.random.Generator, height: int, width: int, scale: Sequence[float]) -> Part:
    """A square part at random of the picture brought to a random scale (Simonyan and Zisserman 2015, section 3.1; He
    et al. 2016, section 3.4), in whole pixels.

    Args:
      scale: (smallest, largest), at least 1, uniform: the short side of the scaled picture over the side of the part.
        ResNet's short side from [256, 480] and part of 224 are 8/7 to 15/7.
    """
    draws = rng.random(3)
    side = max(1, round(min(height, width) / (scale[0] + draws[0] * (scale[1] - scale[0]))))
    return _somewhere(draws[1:], height, width, side, side)


def part_of_random_shape(
    rng: np.random.Generator, height: int, width: int, area: Sequence[float], aspect: Sequence[float]
) -> Part:
    """A part of random area and shape at a random place (Szegedy et al. 2015, section 6), in whole pixels.

    Ten are drawn, and the first that fits is taken; where none fits, the last is cut to the picture.

    Args:
      area: (smallest, largest) share of the picture's area, uniform.
      aspect: (smallest, largest) ratio of width to height, log-uniform.
    """
    draws = rng.random((ATTEMPTS + 1, 2))
    pixels = height * width * (area[0] + draws[:ATTEMPTS, 0] * (area[1] - area[0]))
    low, high = np.log(aspect)
    ratio = np.exp(low + draws[:ATTEMPTS, 1] * (high - low))
    heights = np.maximum(np.rint(np.sqrt(pixels / ratio)), 1).astype(int)
    widths = np.maximum(np.rint(np.sqrt(pixels * ratio)), 1).astype(int)
    fits = (heights <= height) & (widths <= width)
    chosen = int(np.argmax(fits)) if fits.any() else ATTEMPTS - 1
    rows, columns = min(int(heights[chosen]), height), min(int(widths[chosen]), width)
    return _somewhere(draws[ATTEMPTS], height, width, rows, columns)


def _somewhere(shares: np.ndarray, height: int, width: int, rows: int, columns: int) -> Part:
    """A part of that size at one of the whole pixels where it fits, each as likely as the others."""
    top, left = int(shares[0] * (height - rows + 1)), int(shares[1] * (width - columns + 1))
    return Part(top, left, rows, columns)


def resized_exactly(pixels: np.ndarray, part: Part, size: tuple[int, int]) -> np.ndarray:
    """Uint8 `[H, W, C]` to uint8 `[*size, C]`, linearly and antialiased, as `PIL.Image.resize` does it.

    Each pixel is the weighted mean of all those that it covers; published figures of accuracy were taken so. No more
    is computed than the part.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    box = (part.left, part.top, part.left + part.width, part.top + part.height)
    resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized).reshape(*size, pixels.shape[-1])


def resized_quickly(picture: Picture, part: Part, result: np.ndarray) -> None:
    """Fills `result`, uint8 `[h, w, C]`, with a part in whole pixels of a picture, for training.

    Where the part is enlarged or shrinks to more than half, each pixel is interpolated between its four neighbours;
    docs/data.md says how near that comes to `resized_exactly`, and what each costs. Where it shrinks more, a JPEG is
    decoded at a reduced size that leaves less than that to be done, and all else is resized exactly.

    Raises:
      UnreadableImage: the picture can't be decoded.
    """
    rows, columns = result.shape[:2]
    pixels = picture.pixels(shrink=min(part.height / rows, part.width / columns))
    if pixels.shape[0] != picture.height:
        part = part.scaled(pixels.shape[0] / picture.height, pixels.shape[1] / picture.width)
    if max(part.height / rows, part.width / columns) >= SKIPPED:
        result[...] = resized_exactly(pixels, part, (rows, columns))
        return
    top, left = round(part.top), round(part.left)
    bottom, right = max(top + 1, round(part.top + part.height)), max(left + 1, round(part.left + part.width))
    cv2.resize(pixels[top:bottom, left:right], (columns, rows), dst=result, interpolation=cv2.INTER_LINEAR)


def read_part(
    path: str | os.PathLike[str], shape: tuple[int, int, int], padding: int = 0
) -> tuple[np.ndarray, Part, tuple[int, int]]:
    """A user's picture as uint8 `[H, W, C]` of exactly `shape`, with the part that it shows, and its height and width.

    It is what a viewer shows (`decoding`), in grey (C = 1, ITU-R 601 luma) or RGB (C = 3), and resized (bilinear,
    antialiased, aspect kept) so that it just covers the inner `[H - 2p, W - 2p]`; for a square that is the short side
    brought to its size. Its centre is cropped and framed with p zeros.

    Args:
      path: the file; its content decides the format, not its suffix.
      shape: (H, W, C), with C 1 or 3.
      padding: p, the zeros on each side that the network's training images had.

    Raises:
      UnreadableImage: the file can't be opened or decoded.
      InvalidValue: another number of channels, or a padding that leaves no room for the picture.
    """
    height, width, channels = shape
    inner_height, inner_width = height - 2 * padding, width - 2 * padding
    if channels not in (1, 3):
        raise InvalidValue(f"images have 1 channel (grey) or 3 (RGB), not {channels}")
    if padding < 0 or min(inner_height, inner_width) < 1:
        raise InvalidValue(f"a padding of {padding} leaves no picture in {height} x {width}")
    picture = Picture(Path(path), os.fspath(path), channels)
    part = central_part(picture.height, picture.width, inner_height, inner_width)
    inner = resized_exactly(picture.pixels(), part, (inner_height, inner_width))
    framed = np.pad(inner, ((padding, padding), (padding, padding), (0, 0)))
    return framed, part, (picture.height, picture.width)


def nearest(mask: np.ndarray, part: Part, size: tuple[int, int]) -> np.ndarray:
    """Classes of pixels `[H, W]` to `[*size]`: each that of the pixel in which its centre falls."""
    rows = np.floor(part.top + (np.arange(size[0]) + 0.5) * part.height / size[0]).astype(int)
    columns = np.floor(part.left + (np.arange(size[1]) + 0.5) * part.width / size[1]).astype(int)
    return mask[rows.clip(0, mask.shape[0] - 1)[:, None], columns.clip(0, mask.shape[1] - 1)]


def moved(boxes: np.ndarray, part: Part, size: tuple[int, int]) -> np.ndarray:
    """Boxes `[K, 4]` (y0, x0, y1, x1) of a picture as they lie in the resized part, clipped to it; float32.

    One of which nothing is left becomes (0, 0, 0, 0).
    """
    scale = np.array([size[0] / part.height, size[1] / part.width] * 2)
    inside = (boxes - np.array([part.top, part.left] * 2)) * scale
    inside = inside.clip(0, np.array([*size, *size])).astype(np.float32)
    seen = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    return np.where(seen[:, None], inside, np.float32(0))
