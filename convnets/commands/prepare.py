"""`launch.py prepare`: downloads a data set of TensorFlow Datasets and writes it as ArrayRecord files."""

import errno
import importlib.util
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from convnets.commands.command_line import Arguments
from convnets.data.source import DataNotFound
from convnets.data.tfds_folders import check_known, data_folder, find, import_tfds, parse_name
from convnets.errors import InvalidValue


def run(arguments: Arguments) -> int:
    """Prepares the data set that is named, or says where it already is."""
    if len(arguments.rest) != 1 or arguments.overrides:
        given = " ".join([*arguments.rest, *arguments.overrides])
        raise InvalidValue(
            f"prepare takes the name of one data set, such as cifar10 or imagenette/320px-v2, and was given {given!r}"
        )
    dataset, data_dir = arguments.rest[0], arguments["data_dir"]
    try:
        folder = find(dataset, data_dir)
    except DataNotFound:
        _prepare(dataset, data_folder(data_dir))
        folder = find(dataset, data_dir)
    splits = import_tfds().builder_from_directory(folder).info.splits
    sizes = ", ".join(f"{name} {split.num_examples:,}" for name, split in splits.items())
    Console().print(f"{dataset} is prepared in {folder}: {sizes}", highlight=False, soft_wrap=True)
    return 0


def _prepare(dataset: str, root: Path) -> None:
    """Downloads and converts.

    Raises:
      InvalidValue: TensorFlow is not installed, the data set, its configuration or version is unknown, files are
        missing that only the user can fetch, or there is no network or no room.
    """
    check_known(parse_name(dataset)[0])
    if importlib.util.find_spec("tensorflow") is None:
        raise InvalidValue(
            f"{dataset} can't be prepared without TensorFlow, on which the code of TFDS runs that downloads and "
            "converts it: run `pip install -r requirements-prepare.txt`, here or in an environment of its own"
        )
    # Otherwise TensorFlow tells at length how it was compiled.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    tfds = import_tfds()
    manual = ""
    try:
        builder = tfds.builder(dataset, data_dir=str(root), file_format="array_record")
        manual = _one_line(builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "")
        _check_manual_files(dataset, root, manual)
        builder.download_and_prepare()
    # What a builder answers a wrong configuration, missing files, a broken connection or a full disk with; those of
    # `requests` and of TFDS's downloads are all OSErrors or DownloadErrors.
    except (AssertionError, ValueError, OSError, ImportError, tfds.download.DownloadError) as error:
        if isinstance(error, InvalidValue):
            raise
        raise InvalidValue(f"{dataset} can't be prepared in {root}: {_reason(error, root, manual)}") from error
