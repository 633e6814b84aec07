"""Where the pictures of predictions go: none over a given image, or over those of another file."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from convnets.errors import InvalidValue


def pictures_for(files: Sequence[Path], out: Path, endings: Sequence[str]) -> list[tuple[Path, ...]]:
    """For each file its pictures in the folder `out`, which is made: its name with each of the endings.

    Raises:
      InvalidValue: a folder that can't be made, or in which a picture would take the place of a given image.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidValue(f"the folder {out} for the pictures can't be made: {error.strerror}") from None
    pictures = [tuple(out / f"{name}{ending}" for ending in endings) for name in names_of(files, endings)]
    given = {file.resolve() for file in files}
    for picture in itertools.chain.from_iterable(pictures):
        if picture.resolve() in given:
            raise InvalidValue(
                f"{picture} is one of the images, and would be written over: give another folder as --out"
            )
    return pictures


def names_of(files: Sequence[Path], endings: Sequence[str]) -> Iterator[str]:
    """A name for the pictures of each file: its own without the suffix, numbered where one of them has another file's.

    >>> files = [Path("cat.jpg"), Path("cat.png"), Path("cat_overlay.jpg"), Path("cat_2.jpg")]
    >>> list(names_of(files, (".png", "_overlay.png")))
    ['cat', 'cat_2', 'cat_overlay_2', 'cat_2_2']
    """
    taken: set[str] = set()
    for file in files:
        numbers = itertools.count(2)
        name = file.stem
        while not taken.isdisjoint(name + ending for ending in endings):
            name = f"{file.stem}_{next(numbers)}"
        taken.update(name + ending for ending in endings)
        yield name
