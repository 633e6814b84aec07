"""`train`: from a config to a trained network and its report."""

import hashlib
import json
import os
import signal
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict
from rich.console import Console

from convnets.cli.claimed_number import claim_number
from convnets.cli.command_line import Arguments
from convnets.cli.experiments import load_experiment, override, refuse_rest, with_data_dir
from convnets.cli.failure import together
from convnets.cli.local_processes import LocalProcesses
from convnets.cli.processes import NOT_GIVEN, cluster_of, join, meeting_of
from convnets.cli.report import build_report
from convnets.cli.results import print_result, result_of, show_initialization
from convnets.cli.runtime import prepare
from convnets.data.source import Splits
from convnets.errors import InvalidValue
from convnets.evaluation.inference import check_smallest, check_views
from convnets.files import write_atomically
from convnets.layers.implementation import implementation
from convnets.parallel import Devices
from convnets.tasks.model import Model
from convnets.training.checkpoint_mirror import CheckpointMirror
from convnets.training.initialization import (
    initial_weights,
    initialization_of,
    take_normalization,
    take_normalization_of_run,
)
from convnets.training.interruption import end_with_parent
from convnets.training.loop import Loop, Outcome
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, check_batch_size, check_masks, check_splits, dry_run, load_splits
from convnets.training.this_machine import shares_of_processes
from convnets.training.workdir import Workdir


def run(arguments: Arguments) -> int:
    """From the experiment that the command line names, alone or as one of several processes, or by starting those."""
    end_with_parent()
    names = "coordinator", "num_processes", "process_id"
    coordinator, count, number = (arguments[name] for name in names)
    cluster = cluster_of(os.environ)
    if arguments["local_processes"] != NOT_GIVEN:
        if coordinator or count != NOT_GIVEN or number != NOT_GIVEN:
            raise InvalidValue(f"--local_processes starts all processes itself: leave out --{', --'.join(names)}")
        if cluster is not None and (cluster.count or 1) > 1:
            raise InvalidValue(
                f"--local_processes starts all processes itself, and {cluster.name} has started {cluster.count}: leave "
                "it out to join those"
            )
        return start_processes(arguments)
    meeting = meeting_of(coordinator, count, number, cluster)
    if meeting is not None and meeting.coordinator and arguments["workdir"]:
        claim_number(Path(arguments["workdir"]), count, number)
    if meeting is None or not join(meeting, cluster):
        return train(*experiment_of(arguments))
    return together(lambda: train(*experiment_of(arguments)))


def experiment_of(arguments: Arguments) -> tuple[ConfigDict, Workdir]:
    """The config and the workdir that the command line names.

    Raises:
      InvalidValue: one that is missing or mistaken, or a workdir of another config.
    """
    experiment = load_experiment(arguments.required("config"))
    workdir = Workdir(arguments.required("workdir"))
    refuse_rest(arguments)
    config = override(experiment, with_data_dir(arguments))
    take_normalization_of_run(config, workdir)
    workdir.check(config)
    return config, workdir


def start_processes(arguments: Arguments) -> int:
    """Trains by several processes on this machine.

    Raises:
      InvalidValue: a number of them that does not fit, or what each of them would refuse at once.
    """
    config, _ = experiment_of(arguments)
    count, batch_size = arguments["local_processes"], config.train.batch_size
    if not 1 <= count <= batch_size:
        raise InvalidValue(
            f"--local_processes is {count}, and must lie in [1, {batch_size}]: each takes its part of the "
            f"{batch_size} examples of train.batch_size"
        )
    shares = shares_of_processes(count)
    print(f"{count} processes on this machine, {shares[0].description} each", flush=True)
    flags = [f"--{name}={arguments[name]}" for name in ("config", "workdir", "data_dir") if arguments[name]]
    return LocalProcesses(["train", *flags, *arguments.overrides], shares).run()


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
    source = initial_weights(config, workdir)
    take_normalization(config, source, splits.train.info.image_shape[-1])
    model = build_model(config, splits.train.info)
    check_splits(config, splits)
    check_views(model, config.evaluation)
    for split in (splits.validation, splits.test):
        check_smallest(model, config.evaluation, split)
    plan = make_plan(config, model, len(splits.train))
    dry_run(config, model, splits.train, plan)
    initialization = initialization_of(config, model, source)
    mirror = None
    if console is not None:
        if config.checkpoint.folder:
            mirror = CheckpointMirror(config.checkpoint.folder, workdir.checkpoints, workdir.metrics_file)
            mirror.claim(config)
        derived = {"steps": plan.steps, "learning_rate": plan.learning_rate, "training_examples": len(splits.train)}
        workdir.claim(config, splits.train.info, derived)
        where = f"{devices.count} x {jax.devices()[0].device_kind}"
        if implementation() == "onednn":
            where += " with compiled kernels"
        what = f"{config.network.name} on {splits.train.info.name}, {len(splits.train):,} training examples"
        length = f"{plan.steps:,} steps of {config.train.batch_size}"
        console.print(f"{what}, {length}, {where}, workdir {workdir.folder}", highlight=False, soft_wrap=True)
        if initialization is not None:
            show_initialization(initialization, workdir, console)
    # What the first one brought and wrote is there for the others.
    multihost_utils.sync_global_devices("start of the run")
    outcome = Loop(config, model, plan, splits, devices, workdir, console, initialization, mirror).run()
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
    if mirror is not None:
        # The test came after the last checkpoint.
        mirror.update_metrics()
    return 0


def check_processes_agree(splits: Splits) -> None:
    """Refuses processes that have different data: their batches would not be parts of one.

    Raises:
      InvalidValue: other classes, numbers of examples, files, order or labels here than there.
    """
    parts = [part for part in vars(splits).values() if part is not None]
    facts = [(len(part), part.info.classes, part.info.splits, part.info.digest) for part in parts]
    digest = int.from_bytes(hashlib.sha256(repr(facts).encode()).digest()[:4], "little", signed=True)
    own = np.array([digest, len(splits.train), len(splits.test)], np.int32)
    everywhere = multihost_utils.process_allgather(own).reshape(-1, len(own))
    if len(np.unique(everywhere[:, 0])) > 1:
        examples = "; ".join(
            f"process {number} has {train:,} examples to train on and {test:,} to test"
            for number, (_, train, test) in enumerate(everywhere)
        )
        raise InvalidValue(f"the processes have different data ({examples}): give all of them the same files")


def finish(config: ConfigDict, workdir: Workdir, model: Model, outcome: Outcome, console: Console) -> None:
    """Prints the table of results, and writes summary.json and the report."""
    test, seconds, step = outcome.test, outcome.seconds, outcome.test_step
    assert test is not None
    assert step is not None
    speed = outcome.step * config.train.batch_size / seconds.training if seconds.training else 0.0
    summary = result_of(test, "test", step) | {"images_per_second": speed, "seconds": asdict(seconds)}
    write_atomically(workdir.summary_file, json.dumps(summary, indent=2))
    times = {name.replace("_", " "): f"{value:.1f} s" for name, value in asdict(seconds).items()}
    title = f"test, checkpoint of step {step}"
    more = {"training images/s": f"{speed:,.0f}"} | times
    print_result(console, test.metrics, test.examples, title, more, test.tables)
    build_report(workdir, config, model, console, step, outcome.variables)
