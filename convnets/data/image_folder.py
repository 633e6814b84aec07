"""A user's own pictures: folders of classes in ImageNet's layout, a flat folder with a file of labels, or lists.

The training split says what the classes are, and the test split is held to them.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convnets.data.class_names import name_some
from convnets.data.decoding import SUFFIXES
from convnets.data.folder_scan import FolderScan, scan_folder
from convnets.data.image_files import data_folder
from convnets.data.image_list import SUFFIXES as LIST_SUFFIXES
from convnets.data.image_list import ImageList
from convnets.data.records import FileRecords, LabelledFiles
from convnets.data.source import DataNotFound
from convnets.data.synset_files import find_label_file, read_labels, shown_names
from convnets.errors import InvalidValue

# split -> where it is looked for if its place isn't named
PLACES = {"train": ("train",), "test": ("val", "validation", "test")}


def image_folder(
    split: str,
    *,
    data_dir: str = "",
    train: str = "",
    test: str = "",
    labels: str = "",
) -> FileRecords:
    """A split of the pictures in a folder; both are listed, and no picture is opened.

    A split is one of

    - a folder with a folder for each class, which has the class's images in it or below it. The sorted names of the
      training split's are the classes. Files beside them that are no images are passed over, as are hidden ones;
    - for "test", a folder with all images in it and a file with their labels, as `synset_files.read_labels` takes it;
    - a list in a .csv or .json file, as `image_list` has it.

    In folders the images are sorted by their paths; in lists they keep the list's order. Synsets are shown by the names
    that `synset_files.shown_names` finds in `data_dir`.

    Args:
      split: "train" or "test".
      data_dir: the folder that has both.
      train: the training split's folder or list, relative to `data_dir`; empty: `train`, `train.csv` or `train.json`.
      test: the test split's; empty: the first of `val`, `validation` and `test` there, as train is looked for.
      labels: the file with the labels of a test folder without class folders, relative to `data_dir`; empty:
        looked for by its usual names.

    Raises:
      DataNotFound: `data_dir`, a split or the file of labels is not there, or has no images.
      InvalidValue: another split, a class without images or an image without class, a test split with other classes,
        or a file or folder that can't be read or is malformed.
    """
    if split not in PLACES:
        raise InvalidValue(f"folders of images have the splits {' and '.join(PLACES)}, not {split!r}")
    folder = data_folder(data_dir)
    places = {"train": _find(folder, "train", train), "test": _find(folder, "test", test)}
    if os.path.isdir(places["train"]):
        scan = _scan(places["train"])
        classes = _class_folders(scan)
        files = {"train": _label_by_folder(scan, classes)}
    else:
        image_list = ImageList(places["train"])
        classes = image_list.classes()
        files = {"train": image_list.files(classes)}
    if not os.path.isdir(places["test"]):
        _refuse_labels(labels, f"{places['test']} is a list, which has them itself")
        files["test"] = ImageList(places["test"]).files(classes)
    else:
        files["test"] = _label_test_folder(_scan(places["test"]), classes, places["train"], folder, labels)
    splits = {name: len(files[name]) for name in PLACES}
    return FileRecords(files[split], name=folder.name, classes=shown_names(folder, classes), splits=splits)


def _find(data_dir: Path, split: str, given: str) -> Path:
    """The folder or list of a split."""
    if given:
        path = data_dir / Path(given).expanduser()
        if os.path.isdir(path) or (os.path.isfile(path) and path.suffix.lower() in LIST_SUFFIXES):
            return path
        if os.path.exists(path):
            raise InvalidValue(f"data.{split} must name a folder, a .csv or a .json file, and names {path}")
        raise DataNotFound(f"{path} is not there: name the folder or list of the {split} split with data.{split}")
    for name in PLACES[split]:
        if os.path.isdir(data_dir / name):
            return data_dir / name
        for suffix in LIST_SUFFIXES:
            if os.path.isfile(data_dir / (name + suffix)):
                return data_dir / (name + suffix)
    names = " or ".join(filter(None, (", ".join(PLACES[split][:-1]), PLACES[split][-1])))
    raise DataNotFound(
        f"{data_dir} has no {names} (a folder, .csv or .json): name the {split} split's place with data.{split}"
    )


def _scan(folder: Path) -> FolderScan:
    scan = scan_folder(folder)
    if not len(scan.images):
        raise DataNotFound(f"{folder} has no images in it or below it ({' '.join(SUFFIXES)}): put them there")
    return scan


def _class_folders(scan: FolderScan) -> tuple[str, ...]:
    return tuple(sorted(path for path in scan.folders if "/" not in path))


def _label_by_folder(scan: FolderScan, classes: Sequence[str]) -> LabelledFiles:
    if not classes:
        raise InvalidValue(f"{scan.folder} has no class folders: give it one for each class, with its images")
    places = {name: label for label, name in enumerate(classes)}
    # An image in no class's folder is itself the first part of its path.
    found = (places.get(path.partition("/")[0], -1) for path in scan.images)
    labels = np.fromiter(found, np.int32, len(scan.images))
    if (labels < 0).any():
        name = scan.images[int(np.argmin(labels))]
        raise InvalidValue(f"{scan.folder / name} is in no class folder and so has no class: move it into one")
    numbers = np.bincount(labels, minlength=len(classes))
    if not numbers.all():
        empty = [name for name, number in zip(classes, numbers, strict=True) if not number]
        folders = "class folder" if len(empty) == 1 else "class folders"
        has, them = ("has", "it") if len(empty) == 1 else ("have", "them")
        raise InvalidValue(f"the {folders} {name_some(empty)} in {scan.folder} {has} no images: fill or remove {them}")
    return LabelledFiles(scan.folder, scan.folder, scan.images, labels)


def _label_test_folder(
    scan: FolderScan, classes: Sequence[str], train: Path, data_dir: Path, labels: str
) -> LabelledFiles:
    if not any("/" in path for path in scan.images):
        path = find_label_file(data_dir, scan.folder, labels)
        return LabelledFiles(scan.folder, scan.folder, scan.images, read_labels(path, list(scan.images), classes))
    _refuse_labels(labels, f"the images of {scan.folder} are in folders of their classes")
    folders = _class_folders(scan)
    absent, strange = sorted(set(classes) - set(folders)), sorted(set(folders) - set(classes))
    if absent or strange:
        lacks = f"lacks {name_some(absent)}" if absent else ""
        has = f"has also {name_some(strange)}" if strange else ""
        differs = " and ".join(filter(None, (lacks, has)))
        raise InvalidValue(f"{scan.folder} must have the class folders of {train}, but {differs}: make them the same")
    return _label_by_folder(scan, classes)


def _refuse_labels(labels: str, why: str) -> None:
    if labels:
        raise InvalidValue(f"data.labels names a file of labels, {labels}, but {why}: leave it empty")
