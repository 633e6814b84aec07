"""The one family of errors that are meant for the person at the terminal."""

import difflib
from collections.abc import Iterable


class ConvnetsError(Exception):
    """What a user can put right, said in one sentence: what was given, what is allowed, what to do.

    `launch.py` prints the sentence and exits with 1; any other exception is a defect and keeps its traceback.
    """


class InvalidValue(ConvnetsError, ValueError):
    """A name, number, field or file that is not allowed where it was given."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """The allowed names, the likely ones first: `did you mean 'a' or 'b'?`, else the whole list."""
    names = sorted(allowed)
    close = difflib.get_close_matches(given, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "known are " + ", ".join(names)
