"""Where a command keeps a picture that it is asked for."""

from pathlib import Path

from convnets.errors import InvalidValue


def picture_path(out: str) -> Path | None:
    """The path of `--out`, or None without it; asked before minutes of work.

    Raises:
      InvalidValue: a path that can't be a picture's.
    """
    if not out:
        return None
    path = Path(out)
    if path.suffix.lower() != ".png" or path.is_dir():
        raise InvalidValue(f"--out is {out!r}, and pictures are PNG files: let it end in .png")
    return path
