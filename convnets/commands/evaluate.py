"""`launch.py evaluate`: a run's checkpoint on a split, every example once."""

import json

from rich.console import Console

from convnets.commands.command_line import Arguments
from convnets.commands.experiments import config_of_run
from convnets.commands.results import print_result, result_of
from convnets.commands.runtime import prepare
from convnets.errors import InvalidValue, nearest
from convnets.files import write_atomically
from convnets.training.evaluation import Evaluator
from convnets.training.parallel import Devices
from convnets.training.progress import Screen
from convnets.training.restore import restore_variables
from convnets.training.setup import build_model, load_splits
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """Prints the metrics and writes them to `evaluation_<split>.json` in the workdir."""
    workdir = Workdir(arguments.required("workdir"))
    config = config_of_run(workdir, arguments)
    prepare(config)
    splits = vars(load_splits(config))
    name = arguments["split"]
    if name not in splits:
        raise InvalidValue(f"unknown split {name!r}: {nearest(name, splits)}")
    if splits[name] is None:
        raise InvalidValue(f"the run in {workdir.folder} holds out no validation split: use --split=test or train")
    model = build_model(config, splits["train"].info)
    devices = Devices(config.train.wrapper)
    which = arguments["checkpoint"] or config.evaluation.checkpoint
    step, variables = restore_variables(workdir, config, model, which)

    evaluator = Evaluator(config, model, devices)
    console = Console(stderr=arguments["json"])
    with Screen(console) as screen:
        evaluation = evaluator(devices.replicate(variables), splits[name], name, screen)
    assert evaluation is not None
    result = result_of(evaluation, name, step) | {"seconds": evaluation.seconds}
    write_atomically(workdir.folder / f"evaluation_{name}.json", json.dumps(result, indent=2))
    if arguments["json"]:
        print(json.dumps(result))
    else:
        speed = f"{evaluation.examples / evaluation.seconds:,.0f}"
        print_result(console, evaluation, name, step, {"images/s": speed})
    return 0
