"""`launch.py predict`: what a run's network says of image files."""

import json
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from convnets.commands.command_line import Arguments
from convnets.commands.experiments import override
from convnets.commands.runtime import use_compilation_cache
from convnets.data.image_files import find_images, read_image
from convnets.errors import InvalidValue
from convnets.training.config import options_of
from convnets.training.restore import restore_variables
from convnets.training.setup import Model, build_model
from convnets.training.step import unit_range
from convnets.training.workdir import Workdir

BATCH = 64


def run(arguments: Arguments) -> int:
    """Prints a table, or a JSON list with a record for each file."""
    workdir = Workdir(arguments.required("workdir"))
    if arguments.overrides:
        raise InvalidValue("launch.py predict takes no --config fields: the run's own are used")
    if not arguments.rest:
        raise InvalidValue("name image files or folders: launch.py predict --workdir=... shoe.png photos/")
    files = find_images(arguments.rest)
    config = override(workdir.config(), [])
    use_compilation_cache()
    model = build_model(config, workdir.info())
    padding = options_of(config, "data").get("padding", 0)
    _, variables = restore_variables(workdir, config, model, arguments["checkpoint"])

    records: list[dict[str, Any]] = []
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        images = np.stack([read_image(file, model.info.image_shape, padding) for file in part])
        predictions = predict(model, variables, images)
        for file, record in zip(part, model.task.describe(predictions), strict=True):
            records.append({"file": str(file)} | record)
    if arguments["json"]:
        print(json.dumps(records, indent=2))
    else:
        print_table(records)
    return 0


def predict(model: Model, variables: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the task predicts of uint8 images `[N, H, W, C]`, padded to a fixed batch so that it compiles once."""
    count = len(images)
    padded = np.concatenate([images, np.zeros((BATCH - count, *images.shape[1:]), np.uint8)])
    outputs = _apply(model, variables, padded)
    return {name: value[:count] for name, value in jax.device_get(outputs).items()}


def _apply(model: Model, variables: Any, images: np.ndarray) -> Any:
    @jax.jit
    def apply(variables: Any, images: jax.Array) -> dict[str, jax.Array]:
        batch = unit_range({"image": images})
        outputs: Any = model.network.apply(variables, model.normalize(batch["image"]), train=False)
        return model.task.predictions(outputs)

    return apply(variables, images)


def print_table(records: list[dict[str, Any]]) -> None:
    """A row for each file: its likeliest classes with their probabilities."""
    table = Table()
    table.add_column("file", overflow="fold")
    for rank in range(len(records[0]["predictions"])):
        table.add_column(f"{rank + 1}")
    for record in records:
        cells = [f"{guess['class']} {guess['probability']:.1%}" for guess in record["predictions"]]
        table.add_row(record["file"], *cells)
    Console().print(table)
