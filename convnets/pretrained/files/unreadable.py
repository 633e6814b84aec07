"""What a file is refused for, said where it is found out and put together where the file's name is known."""

from collections.abc import Iterator
from contextlib import contextmanager

from convnets.errors import ConvnetsError, InvalidValue

LONGEST_REASON = 200


class Unreadable(Exception):
    """The rest of a sentence that begins with the name of the file: "holds no tensors: give ..."."""


@contextmanager
def refusing(file: str, kind: str) -> Iterator[None]:
    """Makes one sentence about `file`, of the format `kind`, of whatever is raised while it is read.

    Raises:
      InvalidValue: the file can't be read.
    """
    try:
        yield
    except ConvnetsError:
        raise
    except Unreadable as error:
        raise InvalidValue(f"{file} {error}") from error
    except PermissionError as error:
        raise InvalidValue(f"{file} may not be read ({error.strerror}): change its permissions") from error
    # What the libraries raise at damaged bytes is no part of what they promise, and is of a dozen kinds.
    except Exception as error:
        raise InvalidValue(
            f"{file} can't be read as {kind} ({reason_of(error)}): it is damaged, cut short or something else than it "
            "seems, so fetch it again"
        ) from error


def reason_of(error: Exception) -> str:
    """An error's text on one line, as the texts of libraries may be long or none."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    if not said or isinstance(error, LookupError):
        said = f"{type(error).__name__} {said}".rstrip()
    return said[:LONGEST_REASON].rstrip(".")
