"""`launch.py evaluate`: a run's checkpoint on a split, every example once."""

import json

from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from convnets.commands.command_line import Arguments
from convnets.commands.experiments import override
from convnets.commands.runtime import use_compilation_cache
from convnets.errors import InvalidValue, nearest
from convnets.training.evaluation import Evaluator
from convnets.training.parallel import Devices
from convnets.training.progress import Screen
from convnets.training.restore import restore_variables
from convnets.training.setup import build_model, load_splits
from convnets.training.workdir import Workdir, write_atomically

OVERRIDABLE = ("evaluation.", "loader.", "data.data_dir", "train.wrapper")
"""Fields that may differ from the run's own: none of them changes the network or the examples."""


def run(arguments: Arguments) -> int:
    """Prints the metrics and writes them to `evaluation_<split>.json` in the workdir."""
    workdir = Workdir(arguments.required("workdir"))
    config = config_of(workdir, arguments)
    use_compilation_cache()
    splits = vars(load_splits(config))
    name = arguments["split"]
    if name not in splits:
        raise InvalidValue(f"unknown split {name!r}: {nearest(name, splits)}")
    if splits[name] is None:
        raise InvalidValue(f"the run in {workdir.folder} holds out no validation split: use --split=test or train")
    model = build_model(config, splits["train"].info)
    devices = Devices(config.train.wrapper)
    step, variables = restore_variables(workdir, config, model, arguments["checkpoint"])

    evaluator = Evaluator(config, model, devices)
    console = Console(stderr=arguments["json"])
    with Screen(console) as screen:
        evaluation = evaluator(devices.replicate(variables), splits[name], name, screen)
    assert evaluation is not None
    result = {
        "split": name,
        "checkpoint": step,
        **evaluation.metrics,
        "examples": evaluation.examples,
        "seconds": evaluation.seconds,
    }
    write_atomically(workdir.folder / f"evaluation_{name}.json", json.dumps(result, indent=2))
    workdir.save_predictions(name, evaluation.predictions)
    if arguments["json"]:
        print(json.dumps(result))
        return 0
    table = Table(title=f"{name}, checkpoint of step {step}", show_header=False)
    for metric, value in evaluation.metrics.items():
        table.add_row(metric, f"{value:.4f}")
    table.add_row("examples seen", f"{evaluation.examples:,}")
    table.add_row("images/s", f"{evaluation.examples / evaluation.seconds:,.0f}")
    console.print(table)
    return 0


def config_of(workdir: Workdir, arguments: Arguments) -> ConfigDict:
    """The run's config with the command line's overrides.

    Raises:
      InvalidValue: an override of what the run is.
    """
    if arguments.rest:
        raise InvalidValue(f"this command takes flags only, and was given {' '.join(arguments.rest)!r}")
    for given in arguments.overrides:
        field = given.partition("config.")[2].partition("=")[0]
        if not field.startswith(OVERRIDABLE):
            raise InvalidValue(f"--config.{field} is what the run in {workdir.folder} was trained with, and stays")
    overrides = arguments.overrides
    if arguments["data_dir"]:
        overrides = [*overrides, f"--config.data.data_dir={arguments['data_dir']}"]
    return override(workdir.config(), overrides)
