"""`launch.py statistics`: mean, std and principal components of a data set's training pixels."""

import json

from rich.console import Console
from rich.table import Table

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import load_experiment, override, refuse_rest, with_data_dir
from convnets.progress import Screen
from convnets.training.setup import load_splits, statistics_of


def run(arguments: Arguments) -> int:
    """Prints what `normalization` takes, and what `pca_colour` offsets colours by."""
    refuse_rest(arguments)
    config = override(load_experiment(arguments.required("config")), with_data_dir(arguments))
    source = load_splits(config).train
    console = Console(stderr=arguments["json"])
    with Screen(console) as screen:
        statistics = statistics_of(source, None, screen)
    if arguments["json"]:
        print(json.dumps(statistics.to_json()))
        return 0
    table = Table(title=f"{source.info.name}, {len(source):,} training images, white is 1", show_header=False)
    table.add_row("mean", _numbers(statistics.mean))
    table.add_row("std", _numbers(statistics.std))
    for number, component in enumerate(statistics.components, 1):
        table.add_row(f"principal component {number}, times its std", _numbers(component))
    console.print(table)
    return 0


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
