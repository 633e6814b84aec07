"""Lists of images with their answers, as CSV (columns of a header) or JSON (fields of objects).

Every entry has a `path` and the same of these, at least one:

- `label`: the name of the image's class,
- `boxes`: a list of [y0, x0, y1, x1] or [y0, x0, y1, x1, class] in pixels of the upright picture, `[]` for an image
  without any. In CSV it is JSON text between quotes. A box that names no class has the image's label;
- `mask`: the path of a picture whose levels, or colours, are the classes of the pixels (`data.mask_classes`).

Paths are absolute, or relative to the list's folder.
"""

import csv
import json
import os
import sys
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convnets.data.folder_scan import Paths
from convnets.data.label_map import sort_classes, unknown_class
from convnets.data.records import Boxes, LabelledFiles
from convnets.errors import InvalidValue, nearest
from convnets.files import read_text
from convnets.progress import data_bar

SUFFIXES = (".csv", ".json")
FIELDS = ("path", "label", "boxes", "mask")

# Positions below are exact in float32, and no picture is larger.
FARTHEST = 2**24


class ImageList:
    """A list as it was read, with the classes still by name.

    Args:
      path: the list, a .csv or .json file.

    Raises:
      InvalidValue: the list can't be read or is empty, it has unknown fields, or not the same in all entries, a value
        is malformed, or a file that it names is not there.
    """

    def __init__(self, path: Path):
        self.path = path
        self._fields: set[str] = set()
        self._numbers = array("q")
        self._images, self._masks = bytearray(), bytearray()
        self._labels: list[str] = []
        self._edges: list[np.ndarray] = []
        self._box_classes: list[list[str | None]] = []
        missing, first_missing = 0, ""
        # Each file that is named is looked for.
        with data_bar(f"entries of {path}") as bar:
            for number, fields in (_read_csv if path.suffix.lower() == ".csv" else _read_json)(path):
                self._numbers.append(number)
                if fields.keys() != self._fields:
                    self._check_fields(fields)
                for file in self._append(fields):
                    if not os.path.isfile(os.path.join(path.parent, file)):
                        missing += 1
                        first_missing = first_missing or f"{path.parent / file} in {self._place(-1)}"
                if len(self._numbers) % 1000 == 0:
                    bar.update(len(self._numbers))
        if not self._numbers:
            raise InvalidValue(f"{path} lists no images: give it an entry with a path and a label for each of them")
        if missing:
            what = "a file that is" if missing == 1 else f"{missing} files that are"
            raise InvalidValue(f"{path} names {what} not there, first {first_missing}: paths start at its folder")

    def classes(self) -> tuple[str, ...]:
        """The names of the labels and of the boxes' classes, sorted: as numbers if all are whole numbers."""
        return sort_classes([*self._labels, *self._named_boxes()])

    def files(self, classes: Sequence[str]) -> LabelledFiles:
        """The images, in the list's order, with each class as its place among `classes`.

        Args:
          classes: those of the training split.

        Raises:
          InvalidValue: a class that is not among them, or a box without a class although another box has one.
        """
        places = {name: label for label, name in enumerate(classes)}
        named = any(True for _ in self._named_boxes())
        for i in range(len(self._numbers)):
            names = [*self._labels[i : i + 1], *(self._box_classes[i] if self._box_classes else [])]
            for name in names:
                if name is None and named:
                    raise InvalidValue(f"{self._place(i)} has a box without a class, unlike others: name its class")
                if name is not None and name not in places:
                    raise unknown_class(self._place(i), name, places)
        boxes = None
        if "boxes" in self._fields:
            edges, ends = np.concatenate(self._edges), np.cumsum([len(each) for each in self._edges])
            labels = np.array([places[name] for name in self._named_boxes()], np.int32)
            boxes = Boxes(edges, ends, labels if len(labels) == len(edges) else None)
        return LabelledFiles(
            origin=self.path,
            folder=self.path.parent,
            images=Paths(bytes(self._images)),
            labels=np.array([places[name] for name in self._labels], np.int32) if "label" in self._fields else None,
            boxes=boxes,
            masks=Paths(bytes(self._masks)) if "mask" in self._fields else None,
            places=partial(_place_of, self.path, self._numbers),
        )

    def _place(self, i: int) -> str:
        return _place_of(self.path, self._numbers, i)

    def _check_fields(self, fields: dict[str, Any]) -> None:
        place = self._place(-1)
        for name in fields:
            if name not in FIELDS:
                raise InvalidValue(f"{place} has the unknown field {name!r}: {nearest(name, FIELDS)}")
        if "path" not in fields or len(fields) < 2:
            has = ", ".join(fields) or "none"
            raise InvalidValue(f"{place} must have the field path and one of label, boxes and mask, and has {has}")
        if len(self._numbers) > 1:
            name = sorted(self._fields ^ fields.keys())[0]
            has = "has" if name in fields else "has not"
            raise InvalidValue(f"{place} {has} the field {name}, unlike those before: give it to all entries or none")
        self._fields = set(fields)

    def _append(self, fields: dict[str, Any]) -> list[str]:
        """Takes an entry in and gives back the files that it names."""
        place = self._place(-1)
        label = None
        if "label" in fields:
            label = _class_name(fields["label"])
            if label is None:
                raise InvalidValue(f"{place} must have the name of a class as label, and has {fields['label']!r:.40}")
            self._labels.append(label)
        if "boxes" in fields:
            edges, classes = _parse_boxes(place, fields["boxes"])
            self._edges.append(edges)
            self._box_classes.append([label if name is None else name for name in classes])
        files = []
        for name, text in (("path", self._images), ("mask", self._masks)):
            if name in fields:
                if not _is_file_name(fields[name]):
                    raise InvalidValue(f"{place} must have the path of a file as {name}, and has {fields[name]!r:.40}")
                text += os.fsencode(fields[name]) + b"\0"
                files.append(fields[name])
        return files

    def _named_boxes(self) -> Iterator[str]:
        """The classes of those boxes that have one."""
        return (name for names in self._box_classes for name in names if name is not None)


def _place_of(path: Path, numbers: Sequence[int], i: int) -> str:
    """What an error calls an entry: a CSV file's by its (last) line, a JSON file's by its place, from 1 on."""
    return f"{'line' if path.suffix.lower() == '.csv' else 'entry'} {numbers[i]} of {path}"


def _parse_boxes(place: str, given: Any) -> tuple[np.ndarray, list[str | None]]:
    """Edges float32 `[n, 4]` and the class that each box names."""
    boxes = given
    if isinstance(given, str):
        try:
            boxes = json.loads(given)
        except (ValueError, RecursionError):
            boxes = None
    if not isinstance(boxes, list) or not all(map(_is_box, boxes)):
        raise InvalidValue(
            f"{place} must have a list of [y0, x0, y1, x1] or [y0, x0, y1, x1, class] in pixels as boxes, "
            f"with y0 < y1 and x0 < x1, and has {given!r:.60}"
        )
    edges = np.array([box[:4] for box in boxes], np.float32).reshape(-1, 4)
    return edges, [_class_name(box[4]) if len(box) == 5 else None for box in boxes]


def _is_box(box: Any) -> bool:
    if not isinstance(box, list) or len(box) not in (4, 5) or (len(box) == 5 and _class_name(box[4]) is None):
        return False
    # The comparison is false for NaN too.
    if not all(type(edge) in (int, float) and abs(edge) < FARTHEST for edge in box[:4]):
        return False
    y0, x0, y1, x1 = np.array(box[:4], np.float32)
    return bool(y0 < y1 and x0 < x1)


def _class_name(given: Any) -> str | None:
    """The name in an entry, of which there is one object for each class, or None if it is none."""
    if isinstance(given, str) and given.strip():
        return sys.intern(given.strip())
    return sys.intern(str(given)) if isinstance(given, int) and not isinstance(given, bool) else None


def _is_file_name(given: Any) -> bool:
    try:
        return isinstance(given, str) and bool(given.strip()) and b"\0" not in os.fsencode(given)
    # Half a surrogate pair, which JSON can spell.
    except UnicodeEncodeError:
        return False


def _read_csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of the (last) line of each entry, and its fields as text."""
    number = 0
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            number = reader.line_num
            if len(set(header)) < len(header):
                raise InvalidValue(f"the header of {path} names a column twice: {','.join(header)}")
            for cells in reader:
                number = reader.line_num
                if len(cells) not in (0, len(header)):
                    raise InvalidValue(
                        f"line {number} of {path} has {len(cells)} cells for the {len(header)} columns "
                        f"{','.join(header)}: put a cell that has commas in it between quotes"
                    )
                if cells:
                    yield number, dict(zip(header, cells, strict=True))
    except OSError as error:
        raise InvalidValue(f"{path} can't be read ({error.strerror}): check its permissions") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(f"{path} must be in UTF-8, and is not somewhere after line {number}: convert it") from error
    except csv.Error as error:
        raise InvalidValue(f"{path} is malformed after line {number} ({error}): write it as CSV") from error


def _read_json(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = read_text(path)
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"{path} is malformed ({error}): write it as JSON") from error
    if not isinstance(entries, list):
        raise InvalidValue(f"{path} must be a list of objects ([{{...}}, {{...}}]), and is a {type(entries).__name__}")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise InvalidValue(f"entry {number} of {path} must be an object, and is {entry!r:.40}")
        yield number, entry
