"""`launch.py report`: a run's plots and its report.html, from what its workdir holds."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from convnets.analysis.summary import summarize
from convnets.cli.command_line import Arguments
from convnets.cli.experiments import config_of_run
from convnets.cli.results import in_words
from convnets.cli.runtime import prepare
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue
from convnets.plots.filters import plot_filters
from convnets.plots.html_report import Table, write_report
from convnets.plots.learning_curves import plot_learning_curves
from convnets.tasks.model import Model
from convnets.training.metrics_log import Record, read_records
from convnets.training.run import load_run
from convnets.training.setup import load_splits
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """Draws everything again."""
    workdir = Workdir(arguments.required("workdir"))
    config = config_of_run(workdir, arguments)
    prepare(config)
    found = load_run(workdir, config=config)
    build_report(workdir, config, found.model, Console(), found.step, found.variables)
    return 0


def build_report(
    workdir: Workdir, config: ConfigDict, model: Model, console: Console, step: int, variables: Any
) -> None:
    """Writes `plots/*.png` and `report.html` of a run, whose checkpoint of `step` holds `variables`.

    Raises:
      InvalidValue: a run that has not trained yet.
    """
    records = read_records(workdir.metrics_file)
    if not records:
        raise InvalidValue(f"{workdir.folder} has no metrics yet: train first")
    workdir.plots.mkdir(exist_ok=True)
    curves, filters = workdir.plots / "learning_curves.png", workdir.plots / "filters.png"
    task = model.task
    # A curve of what is missing to 1.
    metric = next((name for name in (task.progress, task.primary) if task.metrics[name]), task.progress)
    plot_learning_curves(records, curves, metric=metric)
    name, kernel = first_kernel(model, variables["params"])
    plot_filters(kernel, filters)
    pictures = [("Learning curves", curves), (f"The filters of {name}, the first layer, at step {step}", filters)]
    notes: list[str] = []
    of_task: list[Table] = []
    predictions = workdir.load_predictions("test")
    if predictions is None:
        notes.append("The test split has not been evaluated yet.")
    else:
        of_task += in_words(model.task.tables(predictions))
        try:
            pictures += model.task.pictures(predictions, load_splits(config).test, workdir.plots)
        except DataNotFound as error:
            notes.append(f"The pictures of the test split are missing: {error}.")
    environment = json.loads(workdir.environment_file.read_text())
    layers = summarize(model.of_images, model.image_shape)
    rows = [(row.path, row.kind, " x ".join(map(str, row.output_shape[1:])), f"{row.parameters:,}") for row in layers]
    write_report(
        workdir.report_file,
        title=f"{config.network.name} on {model.info.name}",
        facts={
            "network": config.network.name,
            "data": model.info.name,
            "parameters": f"{sum(row.parameters for row in layers):,}",
            "devices": ", ".join(environment["devices"]),
            "jax": environment["packages"]["jax"],
        },
        tables=[
            _results(workdir),
            *of_task,
            _evaluations(model, records),
            ("Layers", ("layer", "kind", "output", "parameters"), rows),
        ],
        pictures=pictures,
        config=config.to_dict(),
        notes=notes,
    )
    console.print(f"report: {workdir.report_file}", highlight=False, soft_wrap=True)


def first_kernel(model: Model, params: dict[str, object]) -> tuple[str, np.ndarray]:
    """The name and the kernel `[h, w, C, features]` of the first layer that an image meets."""
    for row in summarize(model.of_images, model.image_shape):
        owner: object = params
        for part in row.path.split("/"):
            owner = owner.get(part, {}) if isinstance(owner, dict) else {}
        if isinstance(owner, dict) and np.ndim(owner.get("kernel", 0)) == 4:
            return row.path, np.asarray(owner["kernel"])
    raise ValueError("the network has no layer with a kernel")


def _results(workdir: Workdir) -> Table:
    summary = json.loads(workdir.summary_file.read_text()) if workdir.summary_file.exists() else {}
    rows = []
    for name, value in summary.items():
        if name == "tables":
            continue
        if isinstance(value, dict):
            rows += [(f"{name} {part}", f"{number:.1f}") for part, number in value.items()]
        else:
            rows.append((name, f"{value:,.4g}" if isinstance(value, float) else str(value)))
    return "Result", ("figure", "value"), rows


def _evaluations(model: Model, records: Sequence[Record]) -> Table:
    rows = [
        (
            record["split"],
            f"{record['step']:,}",
            f"{record['epoch']:.4g}",
            *(f"{record[metric]:.4f}" for metric in model.task.metrics),
            f"{record['examples']:,}",
        )
        for record in records
        if record["kind"] == "evaluation"
    ]
    return "Evaluations", ("split", "step", "epoch", *model.task.metrics, "examples"), rows
