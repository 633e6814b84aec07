"""Names of classes: their order, and what is said of some of them."""

import difflib
import re
from collections.abc import Collection, Iterable

from convnets.errors import InvalidValue


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """The different names, sorted; if all are whole numbers then as numbers, so that 10 comes after 9."""
    names = set(names)
    if all(re.fullmatch("-?[0-9]{1,18}", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def name_some(names: Collection[str]) -> str:
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
