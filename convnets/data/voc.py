"""Pictures in the layout of PASCAL VOC, with masks, boxes or both.

Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", and the development kits of VOC2007 to
VOC2012. labelme's converters write the same layout without the lists.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NoReturn
from xml.etree import ElementTree

import numpy as np

from convnets.data.folder_scan import Paths, data_folder
from convnets.data.label_map import BACKGROUND, name_some, read_class_names, repeated, unknown_class
from convnets.data.records import Boxes, FileRecords, LabelledFiles
from convnets.data.source import SPLITS, DataNotFound
from convnets.errors import InvalidValue
from convnets.files import read_text
from convnets.progress import data_bar

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""Level c + 1 of a mask is class c; 0 is the background, and 255 (void) the border of an object."""
ALL = "all"
IMAGES, ANNOTATIONS = "JPEGImages", "Annotations"
MASKS = ("SegmentationClass", "SegmentationClassPNG")
"""Where masks are PNGs: VOC's, or labelme's, which keeps arrays in the first."""
SUFFIXES = {IMAGES: ".jpg", ANNOTATIONS: ".xml", **dict.fromkeys(MASKS, ".png")}
EDGES = ("ymin", "xmin", "ymax", "xmax")


def voc(
    split: str,
    *,
    data_dir: str = "",
    train: str = "train",
    test: str = "val",
    first_pixel: Literal[0, 1] = 1,
) -> FileRecords:
    """A split of a folder such as `VOCdevkit/VOC2012`; no picture is opened.

    Pictures have a mask (`SegmentationClass/*.png`, or else `SegmentationClassPNG`) if the folder has masks, and boxes
    (`Annotations/*.xml`) if it has those. The classes are VOC's twenty, or those of `class_names.txt` in the folder,
    whose first line is the background if it says so.

    Args:
      split: "train" or "test".
      data_dir: the folder with `JPEGImages`.
      train, test: which pictures belong to a split: the name of a list in `ImageSets/Segmentation` (in `ImageSets/Main`
        where there are no masks), or "all" for every picture that has a mask, or boxes where there are no masks.
      first_pixel: what annotations call the first row and column. 1 (VOC): a box includes its last pixel, and is given
        as [ymin - 1, xmin - 1, ymax, xmax]. 0 (labelme): edges are given as they are.

    Raises:
      DataNotFound: the folder, a list, a picture or an answer is not there.
      InvalidValue: a malformed list or annotation, or a class that is not among those.
    """
    folder = data_folder(data_dir)
    if not (folder / IMAGES).is_dir():
        raise DataNotFound(f"{folder} has no {IMAGES}: name the folder that has it, such as VOC2012, with --data_dir")
    masks = next((name for name in MASKS if _stems(folder, name)), "")
    annotations = ANNOTATIONS if _stems(folder, ANNOTATIONS) else ""
    if not masks and not annotations:
        raise DataNotFound(f"{folder} has neither masks ({' or '.join(MASKS)}) nor {ANNOTATIONS}: put either there")
    names = {
        part: _names(folder, part, given, masks, annotations) for part, given in zip(SPLITS, (train, test), strict=True)
    }
    mask_classes = read_class_names(folder) or (BACKGROUND, *CLASSES)
    classes = mask_classes[1:] if mask_classes[0] == BACKGROUND else mask_classes
    mine = names[split]
    files = LabelledFiles(
        origin=folder,
        folder=folder,
        images=_files(IMAGES, mine),
        boxes=_boxes(folder, mine, classes, first_pixel) if annotations else None,
        masks=_files(masks, mine) if masks else None,
    )
    splits = {part: len(of_part) for part, of_part in names.items()}
    return FileRecords(files, name=folder.name, classes=classes, splits=splits, mask_classes=mask_classes)


def _names(folder: Path, option: str, given: str, masks: str, annotations: str) -> list[str]:
    """What the pictures of a split are called, all of whose files are there."""
    if given == ALL:
        names = _stems(folder, masks or annotations)
        source = f"{folder / (masks or annotations)}"
    else:
        path = folder / "ImageSets" / ("Segmentation" if masks else "Main") / f"{given}.txt"
        names, source = _read_list(path, option), f"{path}"
    for kind in filter(None, (IMAGES, masks, annotations)):
        there = set(_stems(folder, kind))
        if missing := [name for name in names if name not in there]:
            raise DataNotFound(
                f"{len(missing)} of the {len(names)} pictures of {source} have no {SUFFIXES[kind]} file in "
                f"{folder / kind} ({name_some(missing)}): add them, or leave these pictures out"
            )
    return names


def _read_list(path: Path, option: str) -> list[str]:
    if not path.exists():
        raise DataNotFound(
            f"{path} is not there: name a list of that folder with data.{option}, or {ALL!r} for every picture that "
            "has an answer"
        )
    names = list(filter(None, map(str.strip, read_text(path).splitlines())))
    wrong = [name for name in names if len(name.split()) > 1 or "/" in name]
    twice = repeated(names)
    if wrong or twice or not names:
        has = f"the line {wrong[0]!r}" if wrong else f"{twice[0]!r} twice" if twice else "no name in it"
        raise InvalidValue(f"{path} has {has}: write the name of one picture, without folder and suffix, a line")
    return names


def _stems(folder: Path, kind: str) -> list[str]:
    """The sorted names of the files of a kind, without their suffix."""
    suffix = SUFFIXES[kind]
    try:
        with os.scandir(folder / kind) as entries:
            return sorted(
                entry.name.removesuffix(suffix)
                for entry in entries
                if entry.name.endswith(suffix) and not entry.name.startswith(".") and entry.is_file()
            )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidValue(f"{folder / kind} can't be listed ({error.strerror}): check its permissions") from error


def _files(kind: str, names: Sequence[str]) -> Paths:
    return Paths.of(f"{kind}/{name}{SUFFIXES[kind]}" for name in names)


def _boxes(folder: Path, names: Sequence[str], classes: Sequence[str], first_pixel: int) -> Boxes:
    edges, ends, labels = [np.zeros((0, 4), np.float32)], [0], list[int]()
    places = {name: label for label, name in enumerate(classes)}
    with data_bar(f"annotations of {folder}", len(names)) as bar:
        for number, name in enumerate(names, 1):
            found, of_found = read_boxes(folder / ANNOTATIONS / f"{name}.xml", places, first_pixel)
            edges.append(found)
            labels += of_found
            ends.append(ends[-1] + len(found))
            bar.update(number)
    return Boxes(np.concatenate(edges), np.array(ends[1:], np.int64), np.array(labels, np.int32))


class _Builder(ElementTree.TreeBuilder):
    """Refuses a DOCTYPE: only there can a document declare entities, which grow without bound or name other files."""

    def doctype(self, name: str, public_id: str | None, system_id: str | None) -> NoReturn:
        raise ValueError("it declares a DOCTYPE, which annotations have no need of")


def read_boxes(path: Path, places: Mapping[str, int], first_pixel: int) -> tuple[np.ndarray, list[int]]:
    """The boxes of a picture, float32 `[n, 4]` (y0, x0, y1, x1) in pixels, and the label of each.

    All objects count, those that are marked as difficult or truncated too, and their parts do not.

    Args:
      places: the label of each class.
      first_pixel: what the file calls the first row and column: 1, with boxes that include their last pixel, or 0, with
        edges between pixels.

    Raises:
      InvalidValue: the file can't be read, is no XML, declares a DOCTYPE, or has an object of an unknown class or
        without a box.
    """
    objects = _parse(path).findall("object")
    boxes, labels = [], []
    for number, each in enumerate(objects, 1):
        place = f"object {number} of {path}"
        name = (each.findtext("name") or "").strip()
        if name not in places:
            raise unknown_class(place, name, places)
        box = [_edge(each.findtext(f"bndbox/{edge}")) for edge in EDGES]
        if first_pixel and min(box[:2]) < first_pixel:
            raise InvalidValue(
                f"{place} begins at row {box[0]:g}, column {box[1]:g}, and VOC counts from 1: set data.first_pixel to 0"
            )
        box[:2] = box[0] - first_pixel, box[1] - first_pixel
        # False for NaN too.
        if not (box[0] < box[2] and box[1] < box[3]):
            raise InvalidValue(
                f"{place} must have a bndbox of numbers with xmin < xmax and ymin < ymax, and has "
                f"{ {edge: each.findtext(f'bndbox/{edge}') for edge in EDGES} }"
            )
        boxes.append(box)
        labels.append(places[name])
    return np.array(boxes, np.float32).reshape(-1, 4), labels


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_Builder()))
    except OSError as error:
        raise InvalidValue(f"{path} can't be read ({error.strerror}): check its permissions") from error
    # An unknown encoding is a LookupError or a ValueError.
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise InvalidValue(f"{path} is no annotation in XML ({error}): write it as VOC does") from error


def _edge(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
