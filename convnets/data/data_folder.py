"""The folder that the user's pictures are in."""

import os
from pathlib import Path

from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue


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
