"""Users' own pictures: finding them, and reading one into the shape that a network was trained on."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convnets.data.decoding import SUFFIXES, Picture
from convnets.data.resampling import Part, central_part, resized_exactly
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue


def find_images(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The image files that `paths` name, in their order; a folder stands for all images below it, sorted.

    A file is an image if its suffix is one of `SUFFIXES`, in upper or lower case. Below a folder, other files
    and hidden ones (`.name`) are passed over, and links to folders are not followed.

    Raises:
      InvalidValue: no path, a missing one, a given file of another suffix, or a folder without images.
    """
    if not paths:
        raise InvalidValue("no image was given: name at least one file or folder")
    found: list[Path] = []
    for path in map(Path, paths):
        if os.path.isdir(path):
            below = _images_below(path)
            if not below:
                raise InvalidValue(f"{path} has no images in it or below it (one of {' '.join(SUFFIXES)})")
            found += below
        elif not os.path.isfile(path):
            raise InvalidValue(f"{path} is not there: name an image file or a folder of them")
        elif path.suffix.lower() not in SUFFIXES:
            raise InvalidValue(f"{path} must have the suffix of an image, one of {' '.join(SUFFIXES)}")
        else:
            found.append(path)
    return found


def data_folder(data_dir: str) -> Path:
    """The user's folder of images, absolute.

    Raises:
      InvalidValue: none is named, or a file.
      DataNotFound: it is not there.
    """
    if not data_dir:
        raise InvalidValue("data.data_dir is empty: name the folder that has the images with --data_dir")
    folder = Path(os.path.abspath(os.path.expanduser(data_dir)))
    if os.path.isdir(folder):
        return folder
    if os.path.exists(folder):
        raise InvalidValue(f"{folder} is a file: name the folder that has the images with --data_dir")
    raise DataNotFound(f"{folder} is not there: name the folder that has the images with --data_dir")


def read_image(path: str | os.PathLike[str], shape: tuple[int, int, int], padding: int = 0) -> np.ndarray:
    """One picture as uint8 `[H, W, C]` of exactly `shape`, from whatever the file holds.

    The picture is what a viewer shows: turned as its EXIF orientation says, transparency on white, the first
    frame of an animation, 16 bits scaled to 8. It is converted to grey (C = 1, ITU-R 601 luma) or RGB (C = 3)
    and resized (bilinear, antialiased, aspect kept) so that it just covers the inner `[H - 2p, W - 2p]`; for
    a square that is the short side brought to its size. Its centre is cropped and framed with p zeros.

    Args:
      path: the file; its content decides the format, not its suffix.
      shape: (H, W, C), with C 1 or 3.
      padding: p, the zeros on each side that the network's training images had.

    Raises:
      UnreadableImage: the file can't be opened or decoded.
      InvalidValue: another number of channels, or a padding that leaves no room for the picture.
    """
    return read_part(path, shape, padding)[0]


def read_part(
    path: str | os.PathLike[str], shape: tuple[int, int, int], padding: int = 0
) -> tuple[np.ndarray, Part, tuple[int, int]]:
    """As `read_image`, with the part of the upright picture that is shown, and the picture's height and width."""
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


def _images_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise InvalidValue(f"{error.filename} can't be listed: {error.strerror}") from error

    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if not name.startswith(".") and name.lower().endswith(SUFFIXES)
    )
