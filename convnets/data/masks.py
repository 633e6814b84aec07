"""The mask of a record, which has to fit its picture and its legend."""

from pathlib import Path

import numpy as np

from convnets.data.decoding import UnreadableImage, decode_mask
from convnets.data.legend import UNKNOWN, Legend
from convnets.data.records import Content


def mask_of(content: Content, name: str, height: int, width: int, legend: Legend | None = None) -> np.ndarray:
    """The classes of a picture's pixels, int32 `[height, width]`; 255 where they are ignored.

    Args:
      content: the mask.
      name: of the picture.
      height, width: of the upright picture.
      legend: what its levels or colours mean; None: its levels are given as they are stored.

    Raises:
      UnreadableImage: the mask can't be decoded, is of another size, has colours where the legend has levels or levels
        where it has colours, or has a value that is not in the legend.
    """
    called = called_by(content, name)
    stored = decode_mask(content, called, colours=legend is not None and legend.colours)
    if stored.shape[:2] != (height, width):
        raise of_another_size(called, stored.shape[:2], (height, width))
    if legend is None:
        return stored
    classes = legend.classes_of(stored)
    unknown = np.flatnonzero(classes == UNKNOWN)
    if len(unknown):
        row, column = divmod(int(unknown[0]), width)
        value = f"colour {tuple(stored[row, column].tolist())}" if legend.colours else f"level {stored[row, column]}"
        raise UnreadableImage(
            f"{called} has the {value} in row {row}, column {column} (from 0), and its legend has {legend}",
            "set data.mask_classes with data.mask_values, or data.mask_ignored",
        )
    return classes


def called_by(content: Content, name: str) -> str:
    """What errors call the mask of a picture."""
    return f"the mask {content}" if isinstance(content, Path) else f"the mask of {name}"


def of_another_size(called: str, found: tuple[int, ...], picture: tuple[int, ...]) -> UnreadableImage:
    """What is said of a mask that does not fit its picture, by the height and width of both."""
    return UnreadableImage(f"{called} has {found[0]} x {found[1]} pixels, and the picture {picture[0]} x {picture[1]}")
