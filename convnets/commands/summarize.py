"""`launch.py summarize`: a network's layers, their shapes and parameters."""

import json

from rich.console import Console

from convnets import data
from convnets.analysis.summary import print_summary, rows_as_json, summarize
from convnets.commands.command_line import Arguments
from convnets.commands.experiments import load_experiment, override, refuse_rest
from convnets.errors import InvalidValue
from convnets.training.config import options_of
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """Of an experiment's network, or of a run's; needs no data."""
    if bool(arguments["config"]) == bool(arguments["workdir"]):
        raise InvalidValue("give either --config (an experiment) or --workdir (a run)")
    refuse_rest(arguments)
    if arguments["config"]:
        config = override(load_experiment(arguments["config"]), arguments.overrides)
        info = data.describe(config.data.name, **options_of(config, "data"))
    else:
        workdir = Workdir(arguments["workdir"])
        if arguments.overrides:
            raise InvalidValue("with --workdir the run's own network is shown: leave the --config fields out")
        config, info = override(workdir.config(), []), workdir.info()
    rows = summarize(build_model(config, info).network, info.image_shape)
    if arguments["json"]:
        print(json.dumps(rows_as_json(rows), indent=2))
    else:
        shape = " x ".join(map(str, info.image_shape))
        print_summary(rows, Console(), f"{config.network.name} on {shape} images of {info.name}")
    return 0
