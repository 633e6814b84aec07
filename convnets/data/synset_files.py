"""The text files beside ImageNet's pictures: labels of a folder without class folders, and the synsets' names.

The forms are those of TensorFlow's `imagenet_2012_validation_synset_labels.txt` (a synset a line), of Caffe's
`val.txt` (a file and a number), and of `LOC_val_solution.csv` and `LOC_synset_mapping.txt` of Kaggle's challenge.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convnets.data.class_names import unknown_class
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue

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


def find_label_file(data_dir: Path, folder: Path, given: str = "") -> Path:
    """The file with the labels of a folder's images.

    Args:
      given: its name, relative to `data_dir`; empty: one of `LABEL_FILES` in `data_dir` or in `folder`.

    Raises:
      DataNotFound: there is none.
    """
    paths = [data_dir / given] if given else [place / name for place in (data_dir, folder) for name in LABEL_FILES]
    for path in paths:
        if os.path.isfile(path):
            return path
    if given:
        raise DataNotFound(f"{paths[0]} is not there: data.labels must name the file with the labels of {folder}")
    raise DataNotFound(
        f"{folder} has no class folders, and neither it nor {data_dir} has the labels of its images in one of "
        f"{', '.join(LABEL_FILES)}: put one there or name another with data.labels"
    )


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
    if not lines or all(line in places or len(_columns(line)) == 1 for _, line in lines):
        return _read_in_order(path, lines, len(images), places)
    return _read_by_file(path, lines, images, places)


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


def _read_in_order(path: Path, lines: list[tuple[int, str]], number: int, places: dict[str, int]) -> np.ndarray:
    for line, name in lines:
        if name.isdecimal() and name not in places:
            # Those of ImageNet's development kit count in another order than the synsets' names.
            raise InvalidValue(f"line {line} of {path} is the number {name}: name the class, or the file before it")
        if name not in places:
            raise unknown_class(f"line {line} of {path}", name, places)
    if len(lines) != number:
        raise InvalidValue(f"{path} has {len(lines)} labels for {number} images: give it a line for each of them")
    return np.array([places[name] for _, name in lines], np.int32)


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
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidValue(f"{path} can't be read ({error.strerror}): check its permissions") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(f"{path} must be text in UTF-8, and is not: convert it") from error
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
