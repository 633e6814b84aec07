"""Names of classes, and what the values in mask files mean: which level or colour stands for which class."""

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convnets.errors import InvalidValue
from convnets.files import read_text

CLASS_NAMES = "class_names.txt"
BACKGROUND = "background"

Value = int | tuple[int, int, int]
"""A grey level or place in a palette, as it is stored; or a colour (red, green, blue)."""

IGNORED = 255
"""The mask value of pixels that no loss and no metric counts; classes have the values below it."""
UNKNOWN = -1
"""What stands in a label map's answer for a value that is not in it."""
WHITE = 255


@dataclass(frozen=True)
class LabelMap:
    """The classes of masks, and how files spell them.

    Attributes:
      classes: names of the classes; `i` is the value of `classes[i]` in the masks that are served.
      values: for each class the level, or the colour, that stands for it in the files; () stands for 0, 1, 2, ...
      ignored: levels, or colours, of pixels that belong to no class. In a label map of colours (255,) stands for none.

    Raises:
      InvalidValue: no class, more than 255 or two of one name, values of another number, out of their range, of both
        kinds or given twice.
    """

    classes: tuple[str, ...]
    values: tuple[Value, ...] = ()
    ignored: tuple[Value, ...] = (IGNORED,)

    def __post_init__(self) -> None:
        names = self.classes
        if isinstance(names, str) or not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise InvalidValue(
                f"data.mask_classes is the names of the masks' classes, such as ('sky', 'road'), not {names!r}"
            )
        if len(names) > IGNORED:
            raise InvalidValue(f"data.mask_classes has {len(names)} names, and masks have at most {IGNORED} classes")
        if twice := repeated(names):
            raise InvalidValue(f"data.mask_classes names {twice[0]!r} twice: give each class a name of its own")
        if self.values and len(self.values) != len(self.classes):
            raise InvalidValue(
                f"data.mask_values has {len(self.values)} values and data.mask_classes {len(self.classes)} classes: "
                "give one value for each class, or none for 0, 1, 2, ..."
            )
        values = [*self._spelled, *self._left_out]
        given = f"data.mask_values {self._spelled!r} and data.mask_ignored {self._left_out!r}"
        for value in values:
            if not (_is_level(value) or _is_colour(value)):
                raise InvalidValue(
                    f"data.mask_values and data.mask_ignored have levels in [0, {WHITE}] or colours such as "
                    f"(128, 64, 0), and not {value!r}"
                )
        if len({_is_level(value) for value in values}) > 1:
            raise InvalidValue(f"{given} are levels and colours: give either levels or colours in both")
        if twice := repeated(values):
            raise InvalidValue(f"the value {twice[0]!r} is given twice in {given}: give each value once")

    @property
    def colours(self) -> bool:
        """Whether the files have colours, not levels."""
        return bool(self.values) and not isinstance(self.values[0], int)

    @property
    def served(self) -> "LabelMap":
        """Of the masks as they are served: class `i` is `i`, and 255 is ignored."""
        return LabelMap(self.classes)

    def classes_of(self, stored: np.ndarray) -> np.ndarray:
        """The classes of pixels, int32 `[H, W]`, with `IGNORED` and `UNKNOWN`.

        Args:
          stored: integers, levels in [0, 255] `[H, W]` or colours `[H, W, 3]`, as the label map has them.
        """
        if not self.colours:
            return self._of_levels[stored]
        codes, meanings = self._of_codes
        code = _codes(stored)
        places = np.searchsorted(codes, code).clip(max=len(codes) - 1)
        return np.where(codes[places] == code, meanings[places], np.int32(UNKNOWN))

    def __str__(self) -> str:
        """What a file may have, in words."""
        ignored = f" or {name_some(self._left_out)} for what is ignored" if self._left_out else ""
        return f"{name_some(self._spelled)} for the classes{ignored}"

    @property
    def _spelled(self) -> tuple[Value, ...]:
        return self.values or tuple(range(len(self.classes)))

    @property
    def _left_out(self) -> tuple[Value, ...]:
        return () if self.colours and self.ignored == (IGNORED,) else self.ignored

    @cached_property
    def _of_levels(self) -> np.ndarray:
        table = np.full(WHITE + 1, UNKNOWN, np.int32)
        table[list(self._spelled)] = np.arange(len(self.classes))
        table[list(self._left_out)] = IGNORED
        return table

    @cached_property
    def _of_codes(self) -> tuple[np.ndarray, np.ndarray]:
        """Sorted colours as numbers, and what each stands for."""
        codes = _codes(np.array([*self._spelled, *self._left_out], np.int32))
        meanings = np.append(np.arange(len(self.classes)), np.full(len(self._left_out), IGNORED)).astype(np.int32)
        order = np.argsort(codes)
        return codes[order], meanings[order]


def override(
    label_map: LabelMap | None, classes: tuple[str, ...], values: tuple[Value, ...], ignored: tuple[Value, ...]
) -> LabelMap | None:
    """A data set's label map, with what a config says in its place.

    Classes come with their values; what is not given is the data set's, or else the levels 0, 1, 2, ..., of which 255
    is ignored unless it is a class's.

    Raises:
      InvalidValue: values for a data set that names no classes of masks, or as `LabelMap` refuses them.
    """
    if not (classes or values or ignored):
        return label_map
    if not classes and label_map is None:
        option = "mask_values" if values else "mask_ignored"
        raise InvalidValue(
            f"data.{option} is given for masks whose classes have no names: give them with data.mask_classes"
        )
    if label_map is not None and not classes:
        classes = label_map.classes
        if not values:
            return LabelMap(classes, label_map.values, ignored)
    return LabelMap(classes, values, ignored or (() if IGNORED in values else (IGNORED,)))


def _is_level(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WHITE


def _is_colour(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(map(_is_level, value))


def _codes(colours: np.ndarray) -> np.ndarray:
    """Colours `[..., 3]` as one number each, int32."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """The different names, sorted; if all are whole numbers then as numbers, so that 10 comes after 9."""
    names = set(names)
    if all(re.fullmatch("-?[0-9]{1,18}", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def read_class_names(folder: Path) -> tuple[str, ...]:
    """The names of `class_names.txt`, one a line; () if a folder has no such file. `_background_` is `background`.

    Raises:
      InvalidValue: it can't be read, or has no name or one twice.
    """
    path = folder / CLASS_NAMES
    if not path.is_file():
        return ()
    lines = filter(None, map(str.strip, read_text(path).splitlines()))
    names = [BACKGROUND if line == "_background_" else line for line in lines]
    twice = repeated(names)
    if twice or not names:
        has = f"names {twice[0]!r} twice" if twice else "is empty"
        raise InvalidValue(f"{path} {has}: give each class a name of its own, one a line")
    return tuple(names)


def repeated(given: Sequence[Any]) -> list[Any]:
    """Those that are given more than once."""
    return [one for one, times in Counter(given).items() if times > 1]


def name_some(names: Collection[object]) -> str:
    """Up to three of the names, and how many more there are: `'a', 'b', 'c' and 4 more`."""
    listed = ", ".join(map(repr, list(names)[:3]))
    return listed if len(names) <= 3 else f"{listed} and {len(names) - 3} more"


def unknown_class(place: str, name: str, classes: Collection[str]) -> InvalidValue:
    """The error for a name that is none of the training split's classes.

    Args:
      place: where it was given, as "line 3 of val.txt".
    """
    close = difflib.get_close_matches(name, classes, n=3)
    if close:
        hint = f"did you mean {' or '.join(map(repr, close))}?"
    else:
        hint = f"those are {name_some(classes)}" if classes else "it has no classes"
    return InvalidValue(f"{place} has the class {name!r}, which the training split has not: {hint}")
