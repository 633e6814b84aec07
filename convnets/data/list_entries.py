"""The entries of a list file, one by one: rows of a CSV file with a header, or objects of a JSON file."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convnets.errors import InvalidValue

SUFFIXES = (".csv", ".json")


def read_entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (number, fields) for each entry; `entry_place` says where it stands in the list.

    The fields of a CSV file are text. In a JSON file they are what it holds.

    Args:
      path: a list with one of `SUFFIXES`, in UTF-8.

    Raises:
      InvalidValue: the file can't be read or is malformed.
    """
    return _read_csv(path) if _is_csv(path) else _read_json(path)


def entry_place(path: Path, number: int) -> str:
    """What an error calls an entry: a CSV file's by its (last) line, a JSON file's by its place, from 1 on."""
    return f"{'line' if _is_csv(path) else 'entry'} {number} of {path}"


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _read_csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
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
                        f"{entry_place(path, number)} has {len(cells)} cells for the {len(header)} columns "
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
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidValue(f"{path} can't be read ({error.strerror}): check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"{path} is malformed ({error}): write it as JSON in UTF-8") from error
    if not isinstance(entries, list):
        raise InvalidValue(f"{path} must be a list of objects ([{{...}}, {{...}}]), and is a {type(entries).__name__}")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise InvalidValue(f"{entry_place(path, number)} must be an object, and is {entry!r:.40}")
        yield number, entry
