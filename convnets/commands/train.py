"""`launch.py train`: from a config to a trained network and its report."""

import hashlib
import json
import signal
from dataclasses import asdict

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict
from rich.console import Console

from convnets import kernels
from convnets.commands.beginning_table import tell
from convnets.commands.command_line import Arguments
from convnets.commands.experiments import load_experiment, override, refuse_rest, with_data_dir
from convnets.commands.report import build_report
from convnets.commands.results import print_result, result_of
from convnets.commands.runtime import prepare
from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.training.evaluation import views_of_run
from convnets.training.initialization import beginning_of, source_of, take_normalization, take_normalization_of_run
from convnets.training.interruption import end_with_parent
from convnets.training.loop import Loop, Outcome
from convnets.training.parallel import Devices
from convnets.training.plan import make_plan
from convnets.training.rehearsal import rehearse
from convnets.training.setup import (
    Model,
    Splits,
    build_model,
    check_batch_size,
    check_masks,
    check_splits,
    load_splits,
)
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """From the experiment that the command line names."""
    end_with_parent()
    experiment = load_experiment(arguments.required("config"))
    workdir = Workdir(arguments.required("workdir"))
    refuse_rest(arguments)
    config = override(experiment, with_data_dir(arguments))
    take_normalization_of_run(config, workdir)
    workdir.check(config)
    join_processes(arguments)
    return train(config, workdir)


def train(config: ConfigDict, workdir: Workdir) -> int:
    """Trains to the end, or goes on; everything that can be refused is refused before anything is compiled or written.

    Returns:
      0, or 128 and the number of the signal that interrupted the run.
    """
    workdir.check(config)
    prepare(config, training=True)
    devices = Devices(config.train.wrapper)
    check_batch_size(config, devices)
    console = Console() if jax.process_index() == 0 else None
    splits = load_splits(config, console)
    check_masks(splits, console)
    check_processes_agree(splits)
    workdir.check_data(splits.train.info)
    source = source_of(config, workdir)
    take_normalization(config, source, splits.train.info.image_shape[-1])
    model = build_model(config, splits.train.info)
    check_splits(config, splits)
    views_of_run(config, model)
    plan = make_plan(config, model.task, len(splits.train))
    rehearse(config, model, splits.train, plan)
    beginning = beginning_of(config, model, source)
    if console is not None:
        derived = {"steps": plan.steps, "learning_rate": plan.learning_rate, "training_examples": len(splits.train)}
        workdir.claim(config, splits.train.info, derived)
        where = f"{devices.count} x {jax.devices()[0].device_kind}"
        if kernels.implementation() == "onednn":
            where += " with compiled kernels"
        what = f"{config.network.name} on {splits.train.info.name}, {len(splits.train):,} training examples"
        length = f"{plan.steps:,} steps of {config.train.batch_size}"
        console.print(f"{what}, {length}, {where}, workdir {workdir.folder}", highlight=False, soft_wrap=True)
        if beginning is not None:
            tell(beginning, workdir, console)

    outcome = Loop(config, model, plan, splits, devices, workdir, console, beginning).run()
    if outcome.interrupted is not None:
        name = signal.Signals(outcome.interrupted).name
        if console is not None:
            console.print(
                f"stopped by {name} at step {outcome.step} of {plan.steps}, and saved: "
                f"the same command again goes on from there",
                soft_wrap=True,
            )
        return 128 + outcome.interrupted
    if console is not None:
        finish(config, workdir, model, outcome, console)
    return 0


def join_processes(arguments: Arguments) -> None:
    """Joins the other processes of a run, if there are any.

    Raises:
      InvalidValue: numbers of processes that don't fit, or no coordinator.
    """
    count, number = arguments["num_processes"], arguments["process_id"]
    if count < 1 or not 0 <= number < count:
        raise InvalidValue(f"--process_id must lie in [0, --num_processes), and they are {number} and {count}")
    if count > 1:
        jax.distributed.initialize(arguments.required("coordinator"), count, number)


def check_processes_agree(splits: Splits) -> None:
    """Refuses processes that have different data: their batches would not be parts of one.

    Raises:
      InvalidValue: other classes, numbers of examples, files, order or labels here than there.
    """
    parts = [part for part in vars(splits).values() if part is not None]
    facts = [(len(part), part.info.classes, part.info.splits, part.info.digest) for part in parts]
    number = np.frombuffer(hashlib.sha256(repr(facts).encode()).digest()[:4], np.int32)
    if len(np.unique(multihost_utils.process_allgather(number))) > 1:
        raise InvalidValue(
            f"the processes have different data (this one {len(splits.train):,} examples to train on and "
            f"{len(splits.test):,} to test): give all of them the same files"
        )


def finish(config: ConfigDict, workdir: Workdir, model: Model, outcome: Outcome, console: Console) -> None:
    """Prints the table of results, and writes summary.json and the report."""
    test, seconds, step = outcome.test, outcome.seconds, outcome.test_step
    assert test is not None
    assert step is not None
    speed = outcome.step * config.train.batch_size / seconds.training if seconds.training else 0.0
    tables = model.task.tables(test.tables)
    summary = result_of(test, "test", step, tables) | {"images_per_second": speed, "seconds": asdict(seconds)}
    write_atomically(workdir.summary_file, json.dumps(summary, indent=2))
    times = {name.replace("_", " "): f"{value:.1f} s" for name, value in asdict(seconds).items()}
    title = f"test, checkpoint of step {step}"
    more = {"training images/s": f"{speed:,.0f}"} | times
    print_result(console, test.metrics, test.examples, title, more, tables)
    build_report(workdir, config, model, console, step, outcome.variables)
