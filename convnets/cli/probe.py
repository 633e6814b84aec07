"""`launch.py probe`: linear classifiers on every stage of a network, a table and a plot of accuracy by depth."""

import io
import json
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import config_of_run, load_experiment, override, refuse_rest, with_data_dir
from convnets.cli.runtime import prepare
from convnets.data.source import Splits
from convnets.errors import InvalidValue
from convnets.evaluation.features import FeatureCache
from convnets.evaluation.probes import StageProbe, probe_stages, save_probes
from convnets.files import write_atomically
from convnets.parallel import Devices
from convnets.plots.comparisons import plot_accuracy_by_depth
from convnets.progress import Screen
from convnets.tasks.model import Model
from convnets.training.initialization import initial_weights, initialization_of, take_normalization
from convnets.training.plan import make_plan
from convnets.training.run import load_run
from convnets.training.setup import build_model, initial_state, load_splits
from convnets.training.workdir import Workdir


@dataclass(frozen=True)
class Probed:
    """A network that is probed, and the data that it is probed with.

    Attributes:
      origin: where its parameters come from, in words.
    """

    config: ConfigDict
    model: Model
    splits: Splits
    variables: Any
    origin: str


def run(arguments: Arguments) -> int:
    """Probes the network of a run, or with --config what an experiment begins with; the results go into the workdir."""
    refuse_rest(arguments)
    workdir = Workdir(arguments.required("workdir"))
    workdir.refuse_file()
    console = Console(stderr=arguments["json"])
    if not arguments["config"]:
        probed = trained(config_of_run(workdir, arguments), workdir, arguments["checkpoint"])
    elif arguments["checkpoint"]:
        raise InvalidValue("--checkpoint is of a run's own network: leave --config out, or set initialize.checkpoint")
    else:
        probed = initial(override(load_experiment(arguments["config"]), with_data_dir(arguments)), console)
    with Screen(console) as screen:
        devices = Devices(probed.config.train.wrapper)
        cache = FeatureCache(workdir.folder)
        probes = probe_stages(probed.config, probed.model, probed.variables, probed.splits, devices, cache, screen)
    keep(probes, probed, workdir)
    if arguments["json"]:
        print(json.dumps([record(each) for each in probes]))
    else:
        console.print(table_of(probes, probed.origin))
        console.print(f"{workdir.plots / 'probes.png'}", highlight=False, soft_wrap=True)
    return 0


def trained(config: ConfigDict, workdir: Workdir, checkpoint: str) -> Probed:
    """The network of a run, with its own data.

    Raises:
      ConvnetsError: data that are missing, have changed or have no labels, or no such checkpoint.
    """
    prepare(config)
    splits = load_splits(config)
    workdir.check_data(splits.train.info)
    _check_labels(splits)
    found = load_run(workdir, checkpoint, config, splits.train.info)
    return Probed(config, found.model, splits, found.variables, found.origin)


def initial(config: ConfigDict, console: Console | None) -> Probed:
    """The network that a run of this config would begin with.

    Raises:
      ConvnetsError: what can't be begun with, or data that are missing or have no labels.
    """
    prepare(config)
    splits = load_splits(config, console)
    _check_labels(splits)
    source = initial_weights(config)
    take_normalization(config, source, splits.train.info.image_shape[-1])
    model = build_model(config, splits.train.info)
    initialization = initialization_of(config, model, source)
    state = initial_state(config, model, make_plan(config, model, len(splits.train)))
    if initialization is not None:
        state = initialization.apply(jax.device_get(state))
    origin = initialization.weights.origin if initialization is not None else "random parameters"
    return Probed(config, model, splits, jax.device_get(state.variables()), origin)


def _check_labels(splits: Splits) -> None:
    if "label" not in splits.train[0]:
        raise InvalidValue(
            f"probes are classifiers of images, and the examples of {splits.train.info.name!r} have no labels: name a "
            "run or an experiment whose images have classes"
        )


def keep(probes: list[StageProbe], probed: Probed, workdir: Workdir) -> None:
    """Writes the results, the classifiers and the plot."""
    records = [record(each) for each in probes]
    write_atomically(workdir.folder / "probes.json", json.dumps({"of": probed.origin, "stages": records}, indent=2))
    content = io.BytesIO()
    np.savez(content, **save_probes(probes))  # type: ignore[arg-type]
    write_atomically(workdir.folder / "probes.npz", content.getvalue())
    plot_accuracy_by_depth(
        [each.stage for each in probes],
        {probed.config.network.name: [each.test for each in probes]},
        workdir.plots / "probes.png",
        title="What each stage knows",
        note=f"{probed.splits.train.info.name}, test accuracy of linear classifiers; {probed.origin}",
    )


def record(each: StageProbe) -> dict[str, Any]:
    """A probe, ready for JSON."""
    return {
        "stage": each.stage,
        "features": each.features,
        "strength": each.probe.strength,
        "training": each.probe.training,
        "validation": each.probe.validation,
        "test": each.test,
    }


def table_of(probes: list[StageProbe], origin: str) -> Table:
    """A row for each map."""
    table = Table(title=f"linear classifiers on the features of {origin}", title_justify="left")
    for name in ("map", "features", "regularization", "training", "validation", "test"):
        table.add_column(name, justify="left" if name == "map" else "right")
    best = max(each.probe.validation for each in probes)
    for each in probes:
        found = each.probe
        accuracies = (f"{value:.2%}" for value in (found.training, found.validation, each.test))
        style = "bold" if found.validation == best else ""
        table.add_row(each.stage, f"{each.features:,}", f"{found.strength:g}", *accuracies, style=style)
    return table
