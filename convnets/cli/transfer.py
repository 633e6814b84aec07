"""`launch.py transfer`: the lecture's table of transfer learning as a tool, which measures each way."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from convnets.cli.advice import Advice, Way, advise
from convnets.cli.command_line import Arguments
from convnets.cli.experiments import load_experiment, override, refuse_rest, with_data_dir
from convnets.cli.probe import Probed, begun, keep, table_of
from convnets.cli.train import train
from convnets.cli.transfer_duration import decide_duration, kept_duration
from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.parallel import Devices
from convnets.plots.accuracy_by_depth import plot_accuracy_by_depth
from convnets.pretrained.depth import LOGITS, groups
from convnets.progress import Screen
from convnets.training.config import default_config, to_json
from convnets.training.evaluation import views_of_run
from convnets.training.features import FeatureCache
from convnets.training.metrics_log import read_records
from convnets.training.plan import make_plan
from convnets.training.rehearsal import rehearse
from convnets.training.setup import check_batch_size
from convnets.training.stage_probes import StageProbe, probe_stages
from convnets.training.workdir import Workdir

RATES = ((LOGITS, 1.0), ("*", 0.1))
"""The lecture: "1/10 of original learning rate is good starting point"; the head is new, and learns at the full one."""


def run(arguments: Arguments) -> int:
    """Probes, three trainings in folders of their own, a table, a plot, the advice, and the configs to go on with."""
    refuse_rest(arguments)
    config = override(load_experiment(arguments.required("config")), with_data_dir(arguments))
    workdir, console = Workdir(arguments.required("workdir")), Console()
    _refuse(config, arguments["budget"])
    began = time.monotonic()
    workdir.refuse_file()
    probed = begun(config, console)
    devices = Devices(config.train.wrapper)
    configs = ways_to_train(probed)
    for its in configs.values():
        _rehearse(its, probed, devices)
    kept = kept_duration(config, workdir, arguments["budget"])
    with Screen(console) as screen:
        cache = FeatureCache(workdir.folder)
        probes = probe_stages(config, probed.model, probed.variables, probed.splits, devices, cache, screen)
    keep(probes, probed, workdir)
    console.print(table_of(probes, probed.origin))
    probing = time.monotonic() - began

    duration = kept or decide_duration(probed, devices, workdir, arguments["budget"], probing)
    ways = _of_probes(probes, probing)
    for name, its in configs.items():
        its.train.duration = duration
        folder = workdir.folder / name.replace(" ", "_")
        if its.checkpoint.folder:
            its.checkpoint.folder = f"{its.checkpoint.folder}/{folder.name}"
        console.rule(name)
        if interrupted := train(its, Workdir(folder)):
            return interrupted
        ways.append(_result(name, Workdir(folder)))
    advice = advise(
        ways,
        {each.stage: each.probe.validation for each in probes},
        training_examples=len(probed.splits.train),
        classes=len(probed.model.info.classes),
        validation_examples=config.validation.examples,
    )
    _tell(ways, advice, console)
    _keep(ways, advice, probes, probed, configs, workdir, console)
    return 0


def ways_to_train(probed: Probed) -> dict[str, ConfigDict]:
    """The experiment in three ways: the last stages fine-tuned, all of them, and trained from scratch.

    What the experiment itself freezes, and its rates by part, are not theirs.
    """
    network, shape = probed.model.network, probed.model.image_shape
    stages = list(groups(network, shape))
    # The upper third of what has parameters, the head beside it.
    first = stages[-max(1, round(len(stages) / 3))]

    def changed(change: Callable[[ConfigDict], None]) -> ConfigDict:
        config = ConfigDict(probed.config.to_dict())
        change(config)
        return config.lock()

    def train_all(config: ConfigDict) -> None:
        config.freeze.update({"below": "", "layers": (), "schedule": ()})
        config.optimizer.update({"rates": (), "depth_decay": 1.0})

    def fine_tune(config: ConfigDict) -> None:
        train_all(config)
        config.optimizer.rates = RATES

    def fine_tune_last(config: ConfigDict) -> None:
        fine_tune(config)
        config.freeze.below = first

    def from_scratch(config: ConfigDict) -> None:
        train_all(config)
        config.initialize.update(default_config().initialize)

    return {
        "last stages": changed(fine_tune_last),
        "all stages": changed(fine_tune),
        "from scratch": changed(from_scratch),
    }


def _refuse(config: ConfigDict, budget: int) -> None:
    if not (config.initialize.weights or config.initialize.workdir):
        raise InvalidValue(
            "launch.py transfer begins with what another network has learned: set initialize.weights or "
            "initialize.workdir"
        )
    if not config.validation.examples:
        raise InvalidValue("launch.py transfer chooses by the validation split: set validation.examples above 0")
    if config.task.name != "classification":
        raise InvalidValue(
            f"launch.py transfer compares accuracies of classification, and the task is {config.task.name!r}"
        )
    if budget < 0:
        raise InvalidValue(f"--budget is {budget}, and must be minutes, or 0 for as long as the experiment says")


def _rehearse(config: ConfigDict, probed: Probed, devices: Devices) -> None:
    """Refuses what training would refuse, before the probes are paid for."""
    check_batch_size(config, devices)
    views_of_run(config, probed.model)
    source = probed.splits.train
    rehearse(config, probed.model, source, make_plan(config, probed.model.task, len(source)))


def _of_probes(probes: list[StageProbe], seconds: float) -> list[Way]:
    """The linear classifier on the top map, and that on the best one below if it is better."""
    # Of equals the deepest.
    top, best = probes[-1], max(reversed(probes), key=lambda each: each.probe.validation)
    ways = [Way(f"linear classifier on {top.stage}", top.probe.validation, top.test, seconds)]
    if best is not top:
        ways.append(Way(f"linear classifier on {best.stage}", best.probe.validation, best.test, seconds))
    return ways


def _result(name: str, workdir: Workdir) -> Way:
    summary = json.loads(workdir.summary_file.read_text())
    records = [
        r for r in read_records(workdir.metrics_file) if r["kind"] == "evaluation" and r["split"] == "validation"
    ]
    tested = next(r for r in reversed(records) if r["step"] == summary["checkpoint"])
    return Way(name, tested["top1"], summary["top1"], sum(summary["seconds"].values()))


def _tell(ways: list[Way], advice: Advice, console: Console) -> None:
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
    for name, config in configs.items():
        config.train.duration = probed.config.train.duration
        write_atomically(_config_file(workdir, name), to_json(config))
    found: dict[str, Any] = {"ways": [asdict(way) for way in ways], "use": advice.use.name, "why": list(advice.reasons)}
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
    go_on = advice.use.name if advice.use.name in configs else "last stages"
    console.print(
        f"{plot}\nto go on: python launch.py train --config={_config_file(workdir, go_on)} --workdir=...",
        soft_wrap=True,
        highlight=False,
    )
    if advice.use.name not in configs:
        console.print(f"the classifiers are in {workdir.folder / 'probes.npz'}", highlight=False, soft_wrap=True)


def _config_file(workdir: Workdir, name: str) -> Path:
    return workdir.folder / f"config_{name.replace(' ', '_')}.json"
