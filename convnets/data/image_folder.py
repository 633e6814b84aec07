"""A user's own pictures: folders of classes in ImageNet's layout, a flat folder with a file of labels, or lists.

The training split says what the classes are, and the test split is held to them. Files of labels have the forms of
TensorFlow's `imagenet_2012_validation_synset_labels.txt` (a synset a line), of Caffe's `val.txt` (a file and a number),
and of `LOC_val_solution.csv` of Kaggle's challenge.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convnets.data.folder_scan import FolderScan, data_folder, images_below
from convnets.data.image_list import SUFFIXES, ImageList
from convnets.data.label_map import name_some, unknown_class
from convnets.data.records import FileRecords, LabelledFiles
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue
from convnets.files import read_text

# split -> where it is looked for if its place isn't named
PLACES = {"train": ("train",), "test": ("val", "validation", "test")}


LABEL_FILES = (
    "val_labels.txt",
    "imagenet_2012_validation_synset_labels.txt",
    "val.txt",
    "LOC_val_solution.csv",
    "synset_labels.txt",
)
NAME_FILES = ("LOC_synset_mapping.txt", "synset_words.txt")

# First words of a line that names the columns.
HEADERS = ("imageid", "image", "file", "filename", "path")


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
    - for "test", a folder with all images in it and a file with their labels, as `read_labels` takes it;
    - a list in a .csv or .json file, as `image_list` has it.

    In folders the images are sorted by their paths; in lists they keep the list's order. Synsets are shown by the names
    that `shown_names` finds in `data_dir`.

    Args:
      split: "train" or "test".
      data_dir: the folder that has both.
      train: the training split's folder or list, relative to `data_dir`; empty: `train`, `train.csv` or `train.json`.
      test: the test split's; empty: the first of `val`, `validation` and `test` there, as train is looked for.
      labels: the file with the labels of a test folder without class folders, relative to `data_dir`; empty:
        looked for by its usual names.

    Raises:
      DataNotFound: `data_dir`, a split or the file of labels is not there, or has no images.
      InvalidValue: a class without images or an image without class, a test split with other classes,
        or a file or folder that can't be read or is malformed.
    """
    folder = data_folder(data_dir)
    places = {"train": _find(folder, "train", train), "test": _find(folder, "test", test)}
    if os.path.isdir(places["train"]):
        scan = images_below(places["train"])
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
        files["test"] = _label_test_folder(images_below(places["test"]), classes, places["train"], folder, labels)
    splits = {name: len(files[name]) for name in PLACES}
    return FileRecords(files[split], name=folder.name, classes=shown_names(folder, classes), splits=splits)


def _find(data_dir: Path, split: str, given: str) -> Path:
    """The folder or list of a split."""
    if given:
        path = data_dir / Path(given).expanduser()
        if os.path.isdir(path) or (os.path.isfile(path) and path.suffix.lower() in SUFFIXES):
            return path
        if os.path.exists(path):
            raise InvalidValue(f"data.{split} must name a folder, a .csv or a .json file, and names {path}")
        raise DataNotFound(f"{path} is not there: name the folder or list of the {split} split with data.{split}")
    for name in PLACES[split]:
        for path in (data_dir / f"{name}{suffix}" for suffix in ("", *SUFFIXES)):
            if path.is_file() if path.suffix else path.is_dir():
                return path
    raise DataNotFound(
        f"{data_dir} has no {' or '.join(PLACES[split])} (a folder, .csv or .json): name the place of the {split} "
        f"split with data.{split}"
    )


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
        raise InvalidValue(f"the class folder {name_some(empty)} in {scan.folder} has no images: fill or remove it")
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
        parts = (("lacks", absent), ("has also", strange))
        differs = " and ".join(f"{how} {name_some(names)}" for how, names in parts if names)
        raise InvalidValue(f"{scan.folder} must have the class folders of {train}, but {differs}: make them the same")
    return _label_by_folder(scan, classes)


def _refuse_labels(labels: str, why: str) -> None:
    if labels:
        raise InvalidValue(f"data.labels names a file of labels, {labels}, but {why}: leave it empty")


def find_label_file(data_dir: Path, folder: Path, given: str = "") -> Path:
    """The file with the labels of a folder's images.

    Args:
      given: its name, relative to `data_dir`; empty: one of `LABEL_FILES` in `data_dir` or in `folder`.

    Raises:
      DataNotFound: there is none.
    """
    paths = [data_dir / given] if given else [place / name for place in (data_dir, folder) for name in LABEL_FILES]
    found = next(filter(os.path.isfile, paths), None)
    if found is None:
        wanted = f"{paths[0]}" if given else f"{', '.join(LABEL_FILES)} in {data_dir} or in it"
        raise DataNotFound(
            f"{folder} has no class folders, and the file with its labels ({wanted}) is not there: put it there or "
            "name another with data.labels"
        )
    return found


def read_labels(path: Path, images: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """The label of each image, int32 `[n]`.

    A line has the name of a class, and the lines are in the order of the images; or it has a file and the name of its
    class (or its place among the classes, from 0 on), between them a blank or a comma, and the lines are in any order.
    The file may have folders before its name, and may lack its suffix. What follows the first word of a class's
    name is passed over if only that word is a class.

    Args:
      images: the names of the files in one folder, sorted.
      classes: the names of the training split's class folders, sorted.

    Raises:
      InvalidValue: the file can't be read, a line names no class or no image, or an image has no line or two.
    """
    lines = _read_lines(path)
    places = {name: label for label, name in enumerate(classes)}
    if any(line not in places and len(_columns(line)) > 1 for _, line in lines):
        return _read_by_file(path, lines, images, places)
    for number, name in lines:
        if name.isdecimal() and name not in places:
            # Those of ImageNet's development kit count in another order than the synsets' names.
            raise InvalidValue(f"line {number} of {path} is the number {name}: name the class, or the file before it")
        if name not in places:
            raise unknown_class(f"line {number} of {path}", name, places)
    if len(lines) != len(images):
        raise InvalidValue(f"{path} has {len(lines)} labels for {len(images)} images: give it a line for each of them")
    return np.array([places[name] for _, name in lines], np.int32)


def shown_names(data_dir: Path, synsets: Sequence[str]) -> tuple[str, ...]:
    """What the classes are called: the first of the names that a file in `data_dir` has for a synset, else the synset.

    The file is one of `NAME_FILES`, with lines like "n01440764 tench, Tinca tinca". Where two classes would be called
    the same, as ImageNet's two cranes, the synset follows in parentheses.

    Raises:
      InvalidValue: the file can't be read.
    """
    path = next((data_dir / name for name in NAME_FILES if os.path.isfile(data_dir / name)), None)
    if path is None:
        return tuple(synsets)
    lines = (line.split(maxsplit=1) for _, line in _read_lines(path))
    known = {words[0]: words[1].split(",")[0].strip() for words in lines if len(words) == 2}
    names = [known.get(synset) or synset for synset in synsets]
    times = Counter(names)
    return tuple(
        name if times[name] == 1 else f"{name} ({synset})" for name, synset in zip(names, synsets, strict=True)
    )


def _read_by_file(
    path: Path, lines: list[tuple[int, str]], images: Sequence[str], places: dict[str, int]
) -> np.ndarray:
    files = {name: i for i, name in enumerate(images)}
    stems = [name.rpartition(".")[0] for name in images]
    times = Counter(stems)
    files = {stem: i for i, stem in enumerate(stems) if times[stem] == 1} | files
    # Numbers that are names of classes are not taken for places as well.
    counted = not any(name.isdecimal() for name in places)
    labels = np.full(len(images), -1, np.int32)
    for first, (line, text) in enumerate(lines):
        columns = _columns(text)
        file = columns[0].rpartition("/")[2]
        if file not in files:
            if not first and file.lower() in HEADERS:
                continue
            raise InvalidValue(f"line {line} of {path} names {file!r}, which is none of the {len(images)} images")
        if len(columns) == 1:
            raise InvalidValue(f"line {line} of {path} has no class: write it behind the file's name")
        name = columns[1] if columns[1] in places else columns[1].split()[0]
        if counted and name.isdecimal() and int(name) < len(places):
            label = int(name)
        elif name in places:
            label = places[name]
        else:
            raise unknown_class(f"line {line} of {path}", name, places)
        if labels[files[file]] >= 0:
            raise InvalidValue(f"line {line} of {path} names {file!r} for the second time: leave one of the lines")
        labels[files[file]] = label
    if (labels < 0).any():
        absent = np.flatnonzero(labels < 0)
        number = f"{len(absent)} of the {len(images)} images"
        raise InvalidValue(f"{path} has no line for {number}, first {images[absent[0]]}: add what is missing")
    return labels


def _columns(line: str) -> list[str]:
    return re.split(r"\s*,\s*|\s+", line, maxsplit=1)


def _read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not empty, with their numbers."""
    return [(number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
