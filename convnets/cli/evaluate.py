"""`launch.py evaluate`: a run's checkpoint on a split, every example once."""

import json

from rich.console import Console

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import config_of_run, refuse_rest
from convnets.cli.results import print_result, result_of
from convnets.cli.runtime import prepare
from convnets.cli.scored_run import ScoredRun
from convnets.files import write_atomically
from convnets.progress import Screen
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """Prints the metrics and writes them to `evaluation_<split>_<protocol>.json` in the workdir."""
    refuse_rest(arguments)
    workdir = Workdir(arguments.required("workdir"))
    config = config_of_run(workdir, arguments)
    prepare(config)
    scored = ScoredRun(workdir, config, arguments["split"], arguments["checkpoint"])
    console = Console(stderr=arguments["json"])
    with Screen(console) as screen:
        evaluation = scored.evaluate(screen, keep_scores=arguments["scores"])
    result = result_of(evaluation, scored.split, scored.step) | scored.protocol() | {"seconds": evaluation.seconds}
    write_atomically(workdir.folder / f"evaluation_{scored.name}.json", json.dumps(result, indent=2))
    if arguments["json"]:
        print(json.dumps(result))
    else:
        more = {
            "protocol": scored.in_words(),
            "images/s": f"{evaluation.examples / evaluation.seconds:,.0f}",
        }
        title = f"{scored.split}, checkpoint of step {scored.step}"
        print_result(console, evaluation.metrics, evaluation.examples, title, more, evaluation.tables)
    return 0
