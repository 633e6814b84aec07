"""Names of classes: their order, and what is said of some of them."""

import difflib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from convnets.errors import InvalidValue

CLASS_NAMES = "class_names.txt"
BACKGROUND = "background"


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
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{path} can't be read ({error}): write the names of the classes in UTF-8") from error
    names = [BACKGROUND if line.strip() == "_background_" else line.strip() for line in lines if line.strip()]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice or not names:
        has = f"names {twice[0]!r} twice" if twice else "is empty"
        raise InvalidValue(f"{path} {has}: give each class a name of its own, one a line")
    return tuple(names)


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
