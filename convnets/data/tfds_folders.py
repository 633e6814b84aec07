"""Where TensorFlow Datasets keeps a data set that it has prepared: `data_dir/name[/configuration]/version`."""

import json
import os
import re
from pathlib import Path
from typing import Any

from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue, nearest

CATALOG = "https://www.tensorflow.org/datasets/catalog/overview"

TESTED = ("validation", "test")
"""What the test split of a run is, the first that there is: ILSVRC's figures are of its validation images."""

_NAME = re.compile(r"(?P<name>\w+)(/(?P<configuration>[\w.-]+))?(:(?P<version>\d+\.\d+\.\d+))?", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_FILES = ("dataset_info.json", "features.json")


def import_tfds() -> Any:
    """The package tensorflow_datasets, which is slow to import and needed by its data sets only.

    Raises:
      InvalidValue: it is not installed.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise InvalidValue(
            f"data sets of TFDS are read by the package tensorflow-datasets, which can't be imported ({error}): "
            "run `pip install -r requirements.txt`"
        ) from error
    return tensorflow_datasets


def data_folder(data_dir: str = "") -> Path:
    """The folder of all data sets: `data_dir`, or else TFDS's own (`$TFDS_DATA_DIR`, `~/tensorflow_datasets`)."""
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def parse_name(dataset: str) -> tuple[str, str, str]:
    """(name, configuration, version) of `name`, `name/configuration`, `name:1.0.0` or `name/configuration:1.0.0`.

    What is not given is empty.

    Raises:
      InvalidValue: another form.
    """
    match = _NAME.fullmatch(dataset)
    if match is None:
        raise InvalidValue(
            f"{dataset!r} names no data set of TFDS: write it as cifar10, imagenette/320px-v2, imagenet2012:5.1.0 "
            "or voc/2007:4.0.0"
        )
    return match["name"], match["configuration"] or "", match["version"] or ""


def find(dataset: str, data_dir: str = "") -> Path:
    """The folder of a prepared data set; nothing is imported, downloaded or prepared.

    Without a version in the name it is the newest that is there; without a configuration, TFDS's default one.

    Args:
      dataset: as `parse_name` takes it.
      data_dir: the folder of all data sets; empty: TFDS's own.

    Raises:
      InvalidValue: a name that TFDS doesn't know.
      DataNotFound: it is not prepared there, or not in this configuration or version.
    """
    name, configuration, version = parse_name(dataset)
    root = data_folder(data_dir) / name
    if not root.is_dir():
        check_known(name)
    try:
        # What the name without a configuration stands for, as TFDS notes it down whenever it prepares one.
        default = json.loads((root / ".config" / "metadata.json").read_text()).get("default_config_name") or "."
    except (OSError, ValueError):
        default = "."
    for parent in [root / configuration] if configuration else [root, root / default]:
        prepared = [folder for folder in _versions(parent) if version in ("", folder.name)]
        if prepared:
            return prepared[-1]
    others = [folder for parent in (root, *_subfolders(root)) for folder in _versions(parent)]
    there = ", ".join(":".join(folder.relative_to(root.parent).as_posix().rsplit("/", 1)) for folder in others)
    option = f" --data_dir={data_dir}" if data_dir else ""
    raise DataNotFound(
        f"{dataset} is not prepared in {root.parent}{f', which has {there}' if there else ''}: run `python launch.py "
        f"prepare {dataset}{option}`, or name the folder that TFDS prepared it in with --data_dir"
    )


def open_builder(folder: Path) -> Any:
    """TFDS's description of the data set in a folder that `find` gave: a `tfds.core.DatasetBuilder` without its code.

    Raises:
      InvalidValue: it can't be read, or its files are not of the format array_record.
    """
    tfds = import_tfds()
    try:
        builder = tfds.builder_from_directory(folder)
    # Unreadable JSON, unknown features, a version that its authors withdrew: each is another error.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InvalidValue(f"{folder} can't be read as a data set of TFDS ({reason}): prepare it again") from error
    file_format = builder.info.file_format.value
    if file_format != "array_record":
        raise InvalidValue(
            f"the data set in {folder} is prepared as {file_format}, and only array_record is read: prepare it with "
            "`python launch.py prepare` in another folder"
        )
    return builder


def shards_of(splits: Any, dataset: str, split: str) -> list[Any]:
    """The files of a split, or of an expression of splits, as TFDS's `file_instructions`.

    Args:
      splits: a builder's, by name.

    Raises:
      InvalidValue: it is malformed or empty, or has a split in it that the data set doesn't have.
    """
    there = f"{dataset} has the splits {', '.join(f'{name} ({part.num_examples})' for name, part in splits.items())}"
    try:
        instructions = list(splits[split].file_instructions)
    except (ValueError, NotImplementedError) as error:
        names = [part.partition("[")[0].strip() for part in split.split("+")]
        if unknown := [name for name in names if name not in (*splits, "all")]:
            raise InvalidValue(f"{there}, and not {unknown[0]!r}") from error
        raise InvalidValue(
            f"{there}, and {split!r} is no part of them: write it as train, train[:90%] or train[100:200], "
            "within the examples that there are, with + in between if they are several"
        ) from error
    if not sum(part.take for part in instructions):
        raise InvalidValue(f"{there}, and {split!r} leaves no example: take a larger part")
    return instructions


def check_known(name: str) -> None:
    """Refuses a name that TFDS has no data set for.

    Raises:
      InvalidValue: with the nearest names.
    """
    # The data sets of its communities are listed on the net.
    known = import_tfds().list_builders(with_community_datasets=False)
    if name not in known:
        hint = nearest(name, known)
        hint = hint if hint.startswith("did you mean") else f"{CATALOG} lists them"
        raise InvalidValue(f"TFDS has no data set {name!r}: {hint}")


def _versions(folder: Path) -> list[Path]:
    """The folders of complete versions, oldest first."""
    versions = [
        path
        for path in _subfolders(folder)
        if _VERSION.fullmatch(path.name) and all((path / file).is_file() for file in _FILES)
    ]
    return sorted(versions, key=lambda path: [int(number) for number in path.name.split(".")])


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []
