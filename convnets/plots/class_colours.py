"""A colour for each class of a mask: PASCAL VOC's, which index PNGs carry as their palette."""

import io

import numpy as np
from PIL import Image


def class_colours() -> np.ndarray:
    """Red, green and blue of the mask values 0 to 255, uint8 `[256, 3]`.

    As VOC's development kit makes them: the bits of a value go, three at a time, to the highest bits that are left of
    the three colours. 0 is black, 255 (ignored) nearly white.

    >>> class_colours()[[0, 1, 15, 255]].tolist()
    [[0, 0, 0], [128, 0, 0], [192, 128, 128], [224, 224, 192]]
    """
    values = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for colour in range(3):
            colours[:, colour] |= ((values >> (3 * bit + colour) & 1) << (7 - bit)).astype(np.uint8)
    return colours


def colour_mask(mask: np.ndarray) -> np.ndarray:
    """A mask `[H, W]` of values 0 to 255 in colours, uint8 `[H, W, 3]`."""
    return class_colours()[mask]


def overlaid(image: np.ndarray, mask: np.ndarray, share: float = 0.6) -> np.ndarray:
    """An image with the colours of its classes laid over it, uint8 `[H, W, 3]`; class 0, the ground, is left as it is.

    Args:
      image: uint8 `[H, W, 1 or 3]`.
      mask: values 0 to 255, `[H, W]`.
      share: of the colour in the result.
    """
    picture = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float32)
    mixed = (1 - share) * picture + share * colour_mask(mask)
    return np.where((mask == 0)[..., None], picture, mixed).round().astype(np.uint8)


def index_png(mask: np.ndarray) -> bytes:
    """A mask `[H, W]` of values 0 to 255 as a PNG of these values, with the classes' colours as its palette."""
    picture = Image.fromarray(mask.astype(np.uint8), mode="P")
    picture.putpalette(class_colours().ravel().tolist())
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def overlay_png(image: np.ndarray, mask: np.ndarray) -> bytes:
    """`overlaid` as a PNG."""
    content = io.BytesIO()
    Image.fromarray(overlaid(image, mask)).save(content, "PNG")
    return content.getvalue()
