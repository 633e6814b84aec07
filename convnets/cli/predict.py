"""`launch.py predict`: what a run's network says of image files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import check_overridable, override
from convnets.cli.prediction_pictures import pictures_for
from convnets.cli.runtime import prepare
from convnets.data.decoding import Picture
from convnets.data.image_files import find_images
from convnets.errors import InvalidValue
from convnets.evaluation.prediction import Predictor
from convnets.files import write_atomically
from convnets.tasks.model import Model
from convnets.training.checkpoints import restore_variables
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """Prints a table, or a JSON list with a record for each file."""
    workdir = Workdir(arguments.required("workdir"))
    if not arguments.rest:
        raise InvalidValue("name image files or folders: launch.py predict --workdir=... shoe.png photos/")
    files = find_images(arguments.rest)
    check_overridable(workdir, arguments.overrides)
    config = override(workdir.config(), arguments.overrides)
    prepare(config)
    model = build_model(config, workdir.info())
    _, variables = restore_variables(workdir, config, model, arguments["checkpoint"] or config.evaluation.checkpoint)
    if arguments["out"] and not model.task.drawings:
        raise InvalidValue(f"--out is for predictions that are pictures, and those of {config.task.name} are none")
    out = Path(arguments["out"] or workdir.folder / "predictions")
    records = predict(Predictor(model, variables, config.evaluation), files, out)
    if arguments["json"]:
        print(json.dumps(records, indent=2))
    else:
        print_table(model, records)
    return 0


def predict(predictor: Predictor, files: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """A record for each file; what the task draws is written into the folder `out`.

    Raises:
      InvalidValue: as `pictures_for`.
      UnreadableImage: a file that can't be decoded.
    """
    task, records = predictor.model.task, []
    drawn: list[tuple[Path, ...]] = [()] * len(files)
    if task.drawings:
        drawn = pictures_for(files, out, tuple(task.drawings.values()))
    for (file, prediction, record), paths in zip(predictor.files(files), drawn, strict=True):
        names = dict(zip(task.drawings, paths, strict=True))
        if names:
            pngs = task.draw(Picture(file, str(file), 3).pixels(), prediction, record)
            for name, path in names.items():
                write_atomically(path, pngs[name])
        records.append({"file": str(file)} | {name: str(path) for name, path in names.items()} | record)
    return records


def print_table(model: Model, records: list[dict[str, Any]]) -> None:
    """A row for each file, with the task's columns."""
    rows = [model.task.columns(record) for record in records]
    table = Table()
    table.add_column("file", overflow="fold")
    for name in rows[0]:
        table.add_column(name)
    for record, row in zip(records, rows, strict=True):
        table.add_row(record["file"], *row.values())
    Console().print(table)
