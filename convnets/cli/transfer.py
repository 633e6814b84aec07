"""`transfer`: the lecture's table of transfer learning as a tool, which measures each way on your data."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from convnets.cli.advice import Advice, Way, advise
from convnets.cli.command_line import Arguments, program
from convnets.cli.experiments import load_experiment, override, refuse_rest, with_data_dir
from convnets.cli.probe import Probed, initial, keep, table_of
from convnets.cli.train import train
from convnets.cli.transfer_duration import decide_duration, kept_duration
from convnets.errors import InvalidValue
from convnets.evaluation.features import FeatureCache
from convnets.evaluation.inference import check_views
from convnets.evaluation.probes import StageProbe, probe_stages
from convnets.files import write_atomically
from convnets.parallel import Devices
from convnets.plots.comparisons import plot_accuracy_by_depth
from convnets.pretrained.depth import LOGITS, groups
from convnets.progress import Screen
from convnets.training.config import default_config, to_json
from convnets.training.metrics_log import read_records
from convnets.training.plan import make_plan
from convnets.training.setup import check_batch_size, dry_run
from convnets.training.workdir import Workdir

METRIC = "top1"
"""What the probes and the trainings are compared by."""

RATES = ((LOGITS, 1.0), ("*", 0.1))
"""The lecture: "1/10 of original learning rate is good starting point"; the head is new, and learns at the full one."""


def run(arguments: Arguments) -> int:
    """Probes, trains in three ways, each in its own folder, and prints a table, the advice and what to type next."""
    refuse_rest(arguments)
    config = override(load_experiment(arguments.required("config")), with_data_dir(arguments))
    workdir, console, budget = Workdir(arguments.required("workdir")), Console(), arguments["budget"]
    check_transfer(config, budget)
    began = time.monotonic()
    workdir.refuse_file()
    probed = initial(config, console)
    if probed.model.task.primary != METRIC:
        raise InvalidValue(f"transfer compares ways by {METRIC}, and the task {config.task.name!r} is not chosen by it")
    devices = Devices(config.train.wrapper)
    configs = ways_to_train(probed)
    source = probed.splits.train
    for way in configs.values():
        # What training would refuse is refused before the probes are paid for.
        check_batch_size(way, devices)
        check_views(probed.model, way.evaluation)
        dry_run(way, probed.model, source, make_plan(way, probed.model, len(source)))
    kept = kept_duration(config, workdir, budget)
    with Screen(console) as screen:
        cache = FeatureCache(workdir.folder)
        probes = probe_stages(config, probed.model, probed.variables, probed.splits, devices, cache, screen)
    keep(probes, probed, workdir)
    console.print(table_of(probes, probed.origin))
    probing = time.monotonic() - began

    duration = kept or decide_duration(probed, devices, workdir, budget, probing)
    ways = _of_probes(probes, probing)
    for name, way in configs.items():
        way.train.duration = duration
        folder = workdir.folder / name.replace(" ", "_")
        if way.checkpoint.folder:
            way.checkpoint.folder = f"{way.checkpoint.folder}/{folder.name}"
        console.rule(name)
        if interrupted := train(way, Workdir(folder)):
            return interrupted
        ways.append(_result(name, Workdir(folder)))
    advice = advise(
        ways,
        {each.stage: each.probe.validation for each in probes},
        training_examples=len(source),
        classes=len(probed.model.info.classes),
        validation_examples=config.validation.examples,
    )
    _show(ways, advice, console)
    _keep(ways, advice, probes, probed, configs, workdir, console)
    return 0


def ways_to_train(probed: Probed) -> dict[str, ConfigDict]:
    """The experiment in three ways: the last stages fine-tuned, all of them, and trained from scratch.

    What the experiment itself freezes, and its rates by part, are not theirs.
    """
    stages = list(groups(probed.model.network, probed.model.image_shape))
    # The upper third of what has parameters, the head beside it.
    first = stages[-max(1, round(len(stages) / 3))]
    train_all = {
        "freeze": {"below": "", "layers": (), "schedule": ()},
        "optimizer": {"rates": RATES, "depth_decay": 1.0},
    }
    changes: dict[str, list[dict[str, Any]]] = {
        "last stages": [train_all, {"freeze": {"below": first}}],
        "all stages": [train_all],
        "from scratch": [train_all, {"optimizer": {"rates": ()}, "initialize": default_config().initialize.to_dict()}],
    }
    configs = {name: ConfigDict(probed.config.to_dict()) for name in changes}
    for name, config in configs.items():
        for change in changes[name]:
            config.update(change)
        config.lock()
    return configs


def check_transfer(config: ConfigDict, budget: int) -> None:
    """Refuses an experiment that can't be transferred, and a budget that is none.

    Raises:
      InvalidValue: nothing to begin with, no validation split, or a negative budget.
    """
    if not (config.initialize.weights or config.initialize.workdir):
        raise InvalidValue(
            "transfer begins with what another network has learned: set initialize.weights or initialize.workdir"
        )
    if not config.validation.examples:
        raise InvalidValue("transfer chooses by the validation split: set validation.examples above 0")
    if budget < 0:
        raise InvalidValue(f"--budget is {budget}, and must be minutes, or 0 for as long as the experiment says")


def _of_probes(probes: list[StageProbe], seconds: float) -> list[Way]:
    """The linear classifier on the top map, and that on the best one below if it is better."""
    # Of equals the deepest.
    top, best = probes[-1], max(reversed(probes), key=lambda each: each.probe.validation)
    used = [top] if best is top else [top, best]
    return [Way(f"linear classifier on {each.stage}", each.probe.validation, each.test, seconds) for each in used]


def _result(name: str, workdir: Workdir) -> Way:
    summary = json.loads(workdir.summary_file.read_text())
    validation = [
        record[METRIC]
        for record in read_records(workdir.metrics_file)
        if record["kind"] == "evaluation"
        and record["split"] == "validation"
        and record["step"] == summary["checkpoint"]
    ][-1]
    return Way(name, validation, summary[METRIC], sum(summary["seconds"].values()))


def _show(ways: list[Way], advice: Advice, console: Console) -> None:
    table = Table(title="ways to transfer", title_justify="left")
    for column in ("way", "validation", "test", "time"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for way in ways:
        chosen = "bold" if way is advice.use else ""
        table.add_row(way.name, f"{way.validation:.2%}", f"{way.test:.2%}", f"{way.seconds:,.0f} s", style=chosen)
    console.print(table)
    console.print(f"use {advice.use.name}:", style="bold")
    for reason in advice.reasons:
        console.print(f"  - {reason}", highlight=False, soft_wrap=True)


def _keep(
    ways: list[Way],
    advice: Advice,
    probes: list[StageProbe],
    probed: Probed,
    configs: dict[str, ConfigDict],
    workdir: Workdir,
    console: Console,
) -> None:
    """Writes transfer.json, the plot, and a config of each way for a whole training."""
    files: dict[str, Path] = {}
    for name, config in configs.items():
        config.train.duration = probed.config.train.duration
        files[name] = workdir.folder / f"config_{name.replace(' ', '_')}.json"
        write_atomically(files[name], to_json(config))
    found = {"ways": [asdict(way) for way in ways], "use": advice.use.name, "why": list(advice.reasons)}
    write_atomically(workdir.folder / "transfer.json", json.dumps(found, indent=2))
    plot = workdir.plots / "transfer.png"
    plot_accuracy_by_depth(
        [each.stage for each in probes],
        {probed.config.network.name: [each.test for each in probes]},
        plot,
        trained={way.name: way.test for way in ways if way.name in configs},
        title=f"Transfer to {probed.splits.train.info.name}",
        note=f"test accuracy; {len(probed.splits.train):,} training examples; {probed.origin}",
    )
    go_on = files.get(advice.use.name, files["last stages"])
    lines = [str(plot), f"to go on: {program()} train --config={go_on} --workdir=..."]
    if advice.use.name not in configs:
        lines.append(f"the classifiers are in {workdir.folder / 'probes.npz'}")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
