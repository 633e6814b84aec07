"""`launch.py prepare`: downloads a data set of TensorFlow Datasets and writes it as ArrayRecord files."""

import errno
import importlib.util
import os
from pathlib import Path

from rich.console import Console

from convnets.cli.command_line import Arguments
from convnets.data.source import DataNotFound
from convnets.data.tfds_folders import check_known, data_folder, find, import_tfds, open_builder, parse_name
from convnets.errors import InvalidValue, nearest


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
    splits = open_builder(folder).info.splits
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
    name, configuration, _ = parse_name(dataset)
    known = tfds.builder_cls(name).builder_configs
    if configuration and configuration not in known:
        hint = nearest(configuration, known) if known else f"it has none, write {name} alone"
        raise InvalidValue(f"{name} has no configuration {configuration!r}: {hint}")
    manual = ""
    try:
        builder = tfds.builder(dataset, data_dir=str(root), file_format="array_record")
        manual = builder.MANUAL_DOWNLOAD_INSTRUCTIONS or ""
        builder.download_and_prepare()
    # A builder answers a version that it doesn't have, missing files and packages, a broken connection and a full disk
    # with these; the errors of `requests` are OSErrors, and those of ArrayRecord RuntimeErrors.
    except (AssertionError, ValueError, OSError, RuntimeError, ImportError, tfds.download.DownloadError) as error:
        raise InvalidValue(f"{dataset} can't be prepared in {root}: {_reason(error, root, manual)}") from error


def _reason(error: Exception, root: Path, manual: str) -> str:
    """What to do about an error of TFDS's, in half a sentence.

    Args:
      manual: TFDS's instructions for the files that only the user can fetch, if the data set has such.
    """
    from requests import RequestException

    # Several sentences as one.
    said, manual = (" ".join(text.split()).rstrip(".").replace(". ", "; ") for text in (str(error), manual))
    if any(words in str(error) for words in (os.strerror(errno.ENOSPC), "Not enough disk space")):
        return f"the disk is full ({said}), make room or choose another folder with --data_dir"
    if isinstance(error, RequestException) or type(error).__name__ == "DownloadError":
        return f"the download failed ({said}), try again with a connection to the internet"
    if manual and isinstance(error, (AssertionError, FileNotFoundError)):
        return f"files that only you can fetch belong into {root / 'downloads' / 'manual'} ({manual})"
    return said
