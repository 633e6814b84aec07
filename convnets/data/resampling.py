"""A part of a picture brought to its size: exactly as Pillow does it, or quickly by OpenCV where that comes close."""

import cv2
import numpy as np
from PIL import Image

from convnets.data.decoding import Picture
from convnets.data.parts import Part

# One call works on one image; the pipeline has threads of its own.
cv2.setNumThreads(0)

SKIPPED = 2.0
"""From this factor of shrinking on, two neighbours no longer stand for all the pixels that become one."""


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
