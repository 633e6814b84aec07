"""`predict`: what a run's network says of image files."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import check_overridable, override
from convnets.cli.results import text_table
from convnets.cli.runtime import prepare
from convnets.data.decoding import Picture
from convnets.data.folder_scan import find_images
from convnets.errors import InvalidValue
from convnets.evaluation.prediction import Predictor
from convnets.files import write_atomically
from convnets.training.run import load_run
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """Prints a table, or a JSON list with a record for each file."""
    workdir = Workdir(arguments.required("workdir"))
    if not arguments.rest:
        raise InvalidValue("name image files or folders: predict --workdir=... shoe.png photos/")
    files = find_images(arguments.rest)
    check_overridable(workdir, arguments.overrides)
    config = override(workdir.config(), arguments.overrides)
    prepare(config)
    trained = load_run(workdir, arguments["checkpoint"], config)
    task = trained.model.task
    if arguments["out"] and not task.drawings:
        raise InvalidValue(f"--out is for predictions that are pictures, and those of {config.task.name} are none")
    records = predict(trained.predictor, files, Path(arguments["out"] or workdir.folder / "predictions"))
    if arguments["json"]:
        print(json.dumps(records, indent=2))
        return 0
    rows = [{"file": record["file"]} | task.columns(record) for record in records]
    table = text_table("", list(rows[0]), [list(row.values()) for row in rows])
    table.columns[0].overflow = "fold"
    Console().print(table)
    return 0


def predict(predictor: Predictor, files: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """A record for each file; what the task draws is written into the folder `out`.

    Raises:
      InvalidValue: as `picture_files`.
      UnreadableImage: a file that can't be decoded.
    """
    task, records = predictor.model.task, []
    drawn = picture_files(files, out, list(task.drawings.values())) if task.drawings else [()] * len(files)
    for (file, prediction, record), paths in zip(predictor.files(files), drawn, strict=True):
        names = dict(zip(task.drawings, paths, strict=True))
        if names:
            pngs = task.draw(Picture(file, str(file), 3).pixels(), prediction, record)
            for name, path in names.items():
                write_atomically(path, pngs[name])
        records.append({"file": str(file)} | {name: str(path) for name, path in names.items()} | record)
    return records


def picture_files(files: Sequence[Path], out: Path, endings: Sequence[str]) -> list[tuple[Path, ...]]:
    """For each file its pictures in the folder `out`, which is made: its name with each of the endings.

    Raises:
      InvalidValue: a folder that can't be made, or in which a picture would replace a given image.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidValue(f"the folder {out} for the pictures can't be made: {error.strerror}") from None
    pictures = [tuple(out / f"{name}{ending}" for ending in endings) for name in picture_names(files, endings)]
    given = {file.resolve() for file in files}
    for picture in itertools.chain.from_iterable(pictures):
        if picture.resolve() in given:
            raise InvalidValue(
                f"{picture} is one of the images, and would be written over: give another folder as --out"
            )
    return pictures


def picture_names(files: Sequence[Path], endings: Sequence[str]) -> Iterator[str]:
    """A name for the pictures of each file: its own without the suffix, numbered where another file has one of them.

    >>> files = [Path("cat.jpg"), Path("cat.png"), Path("cat_overlay.jpg"), Path("cat_2.jpg")]
    >>> list(picture_names(files, (".png", "_overlay.png")))
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
