"""How long `launch.py transfer` trains each way: as the experiment says, or what fits into a budget of minutes."""

import json
import time

import jax
import numpy as np
from ml_collections import ConfigDict

from convnets.cli.probe import Probed
from convnets.data.source import load_training_batch
from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.parallel import Devices
from convnets.progress import Screen
from convnets.training.pixel_statistics import chain_of
from convnets.training.plan import make_plan
from convnets.training.setup import initial_state, mapped_train_step
from convnets.training.workdir import Workdir

FILE = "duration.json"
"""What a resumed transfer has to agree with."""

TIMED_STEPS = 5


def kept_duration(config: ConfigDict, workdir: Workdir, budget: int) -> str:
    """Of each training, as the call that began in this folder found it; empty if none did.

    Raises:
      InvalidValue: that one had another budget or duration.
    """
    file = workdir.folder / FILE
    if not file.exists():
        return ""
    kept, asked = json.loads(file.read_text()), {"budget": budget, "experiment": str(config.train.duration)}
    if {name: kept[name] for name in asked} != asked:
        raise InvalidValue(
            f"{workdir.folder} holds a transfer with --budget={kept['budget']} and train.duration="
            f"{kept['experiment']!r}: give the same ones, or name another --workdir"
        )
    return str(kept["duration"])


def decide_duration(probed: Probed, devices: Devices, workdir: Workdir, budget: int, probing: float) -> str:
    """Of each training: the experiment's, or what fits into a third of the time that the probes left.

    It is kept in the workdir, for `kept_duration`.

    Args:
      budget: minutes for probes and trainings together; 0: as long as the experiment says.
      probing: seconds that the probes took.

    Raises:
      InvalidValue: a budget that the probes have used up.
    """
    config = probed.config
    duration = str(config.train.duration)
    if budget:
        seconds = 60 * budget - probing
        plan = make_plan(config, probed.model.task, len(probed.splits.train))
        steps = int(seconds / 3 / _seconds_a_step(probed, devices, workdir))
        if steps < 1:
            raise InvalidValue(
                f"--budget leaves {max(seconds, 0):.0f} s for three trainings, which is under a step each: give it more"
            )
        duration = f"{min(steps, plan.steps)} steps"
    facts = {"budget": budget, "experiment": str(config.train.duration), "duration": duration}
    write_atomically(workdir.folder / FILE, json.dumps(facts))
    return duration


def _seconds_a_step(probed: Probed, devices: Devices, workdir: Workdir) -> float:
    """Of training everything, measured on the first examples."""
    config, model, source = probed.config, probed.model, probed.splits.train
    plan = make_plan(config, model.task, len(source))
    with Screen(None) as screen:
        chain = chain_of(config, source, workdir.statistics_file, screen)
    step = mapped_train_step(config, model, plan, devices, chain)
    state = devices.replicate(initial_state(config, model, plan))
    places = np.arange(config.train.batch_size // jax.process_count()) % len(source)
    began = time.monotonic()
    batch = load_training_batch(source, places, np.zeros(len(places), np.int64), config.seed)
    reading = time.monotonic() - began
    batch = {name: value for name, value in batch.items() if name != "unreadable"}
    batch |= {"weight": np.ones(len(places), np.float32), "epoch": np.zeros(len(places), np.int32)}
    batches = devices.split({name: value[None] for name, value in batch.items()}, batch_axis=1)
    times = []
    for _ in range(TIMED_STEPS + 1):
        began = time.monotonic()
        state, figures = step(state, batches)
        jax.block_until_ready(figures)
        times.append(time.monotonic() - began)
    return max(float(np.median(times[1:])), reading / max(config.loader.threads, config.loader.workers))
