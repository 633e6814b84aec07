"""`launch.py predict`: what a run's network says of image files."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import check_overridable, override
from convnets.cli.predicted_boxes import predict_boxes
from convnets.cli.predicted_pixels import predict_pixels
from convnets.cli.runtime import prepare
from convnets.data.image_files import find_images, read_image
from convnets.errors import InvalidValue
from convnets.evaluation.protocols import views_of
from convnets.evaluation.scores import take_crop
from convnets.training.evaluation import views_of_run
from convnets.training.restore import restore_variables
from convnets.training.setup import Model, build_model
from convnets.training.step import unit_range
from convnets.training.workdir import Workdir

BATCH = 64
BY_WINDOWS = "localization"
"""The task whose predictions may be made by another protocol than the run's."""


def run(arguments: Arguments) -> int:
    """Prints a table, or a JSON list with a record for each file."""
    workdir = Workdir(arguments.required("workdir"))
    if not arguments.rest:
        raise InvalidValue("name image files or folders: launch.py predict --workdir=... shoe.png photos/")
    files = find_images(arguments.rest)
    config = override(workdir.config(), [])
    if arguments.overrides and config.task.name != BY_WINDOWS:
        raise InvalidValue("launch.py predict takes no --config fields: the run's own are used")
    check_overridable(workdir, arguments.overrides)
    config = override(config, arguments.overrides)
    prepare(config)
    model = build_model(config, workdir.info())
    _, variables = restore_variables(workdir, config, model, arguments["checkpoint"] or config.evaluation.checkpoint)

    if model.task.of_pixels:
        out = Path(arguments["out"] or workdir.folder / "predictions")
        window, overlap = config.evaluation.window, config.evaluation.overlap
        records = predict_pixels(model, variables, files, out, window=window, overlap=overlap)
    elif model.task.of_boxes:
        views = views_of_run(config, model)
        out = Path(arguments["out"] or workdir.folder / "predictions")
        records = predict_boxes(model, variables, files, views, out)
    elif arguments["out"]:
        raise InvalidValue(f"--out is for predictions that are pictures, and those of {config.task.name} are none")
    else:
        records = predict_whole(model, variables, files)
    if arguments["json"]:
        print(json.dumps(records, indent=2))
    else:
        print_table(model, records)
    return 0


def predict_whole(model: Model, variables: Any, files: Sequence[Path]) -> list[dict[str, Any]]:
    """A record for each file, of its picture brought to the size of the data's."""
    apply = jax.jit(partial(predict, model))
    records: list[dict[str, Any]] = []
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        images = np.stack([read_image(file, model.info.image_shape, model.info.padding) for file in part])
        # Filled up to one size, so that it is compiled once.
        images = np.concatenate([images, np.zeros((BATCH - len(part), *images.shape[1:]), np.uint8)])
        predictions = {name: value[: len(part)] for name, value in jax.device_get(apply(variables, images)).items()}
        for file, record in zip(part, model.task.describe(predictions), strict=True):
            records.append({"file": str(file)} | record)
    return records


def predict(model: Model, variables: Any, images: jax.Array) -> dict[str, jax.Array]:
    """What the task predicts of uint8 images `[N, H, W, C]`, of their centre if the network takes others."""
    image, size = model.info.image_shape[:2], model.image_shape[:2]
    values = unit_range({"image": images})["image"]
    [crop] = views_of("centre_crop", image, size).crops
    if image != size:
        values = take_crop(values, jnp.array(crop, jnp.float32), size)
    outputs: Any = model.network.apply(variables, model.normalize(values), train=False)
    return model.task.predictions(outputs)


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
