"""The mask of a record, which has to fit its picture."""

import numpy as np

from convnets.data.decoding import UnreadableImage, decode_mask
from convnets.data.records import Content


def mask_of(content: Content, name: str, height: int, width: int) -> np.ndarray:
    """The classes of a picture's pixels, int32 `[height, width]`.

    Args:
      content: the mask.
      name: of the picture.
      height, width: of the upright picture.

    Raises:
      UnreadableImage: the mask can't be decoded, or is of another size.
    """
    mask = decode_mask(content, f"the mask of {name}")
    if mask.shape != (height, width):
        raise UnreadableImage(
            f"the mask of {name} has {mask.shape[0]} x {mask.shape[1]} pixels, and the picture {height} x {width}"
        )
    return mask
