"""Files written whole or not at all, text files of a user's, and where the user's cache is."""

import os
import threading
from pathlib import Path

from convnets.errors import InvalidValue


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes `content` to `path` so that a reader, or a crash, sees the old file or the whole new one.

    The parent folder is made if it is missing; text is UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not a `tempfile`: that is readable by its owner only, and `os.replace` would keep it so.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder(name: str) -> Path:
    """The project's folder of that name in the user's cache (`$XDG_CACHE_HOME`, else `~/.cache`)."""
    # The XDG specification has relative paths ignored.
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return Path(base) / "convnets" / name


def read_text(path: Path) -> str:
    """The text of a user's file.

    Raises:
      InvalidValue: it can't be read, or is not in UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidValue(f"{path} can't be read ({error.strerror}): check its permissions") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(f"{path} must be text in UTF-8, and is not: convert it") from error
