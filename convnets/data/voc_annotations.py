"""One of PASCAL VOC's annotations: an XML file with the objects of a picture."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

import numpy as np

from convnets.data.class_names import unknown_class
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue

EDGES = ("ymin", "xmin", "ymax", "xmax")


class DeclaresTypes(ValueError):
    """A document with a DOCTYPE: only there can it declare entities, which grow without bound or name other files."""


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, name: str, public_id: str | None, system_id: str | None) -> NoReturn:
        raise DeclaresTypes


def read_boxes(path: Path, places: Mapping[str, int], first_pixel: int) -> tuple[np.ndarray, list[int]]:
    """The boxes of a picture, float32 `[n, 4]` (y0, x0, y1, x1) in pixels, and the label of each.

    All objects count, those that are marked as difficult or truncated too, and their parts do not.

    Args:
      places: the label of each class.
      first_pixel: what the file calls the first row and column: 1, with boxes that include their last pixel, or 0, with
        edges between pixels.

    Raises:
      DataNotFound: the file is not there.
      InvalidValue: it can't be read, is no XML or declares a DOCTYPE, or has an object of an unknown class or without
        a box.
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
    except DeclaresTypes as error:
        raise InvalidValue(f"{path} declares a DOCTYPE, which annotations have no need of: remove it") from error
    except FileNotFoundError as error:
        raise DataNotFound(f"{path} is not there: add it, or leave its picture out") from error
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
