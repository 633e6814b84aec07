"""How long `transfer` trains each way: as the experiment says, or what fits into a budget of minutes."""

import json
import time

import jax
import numpy as np
from ml_collections import ConfigDict

from convnets.cli.probe import Probed
from convnets.data.pipeline import TrainingBatches
from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.parallel import Devices
from convnets.progress import Screen
from convnets.training.plan import make_plan
from convnets.training.setup import initial_state, mapped_train_step, transforms_of
from convnets.training.workdir import Workdir

FILE = "duration.json"
"""What a resumed transfer has to agree with."""

TIMED_STEPS = 5


def kept_duration(config: ConfigDict, workdir: Workdir, budget: int) -> str:
    """The duration of each training that an earlier call in this folder decided on; empty if there was none.

    Raises:
      InvalidValue: that call had another budget or duration.
    """
    file = workdir.folder / FILE
    if not file.exists():
        return ""
    kept = json.loads(file.read_text())
    if (kept["budget"], kept["experiment"]) != (budget, str(config.train.duration)):
        raise InvalidValue(
            f"{workdir.folder} holds a transfer with --budget={kept['budget']} and train.duration="
            f"{kept['experiment']!r}: give the same ones, or name another --workdir"
        )
    return str(kept["duration"])


def decide_duration(probed: Probed, devices: Devices, workdir: Workdir, budget: int, probing: float) -> str:
    """The experiment's duration, or what fits into a third of the time that the probes left; kept in the workdir.

    Args:
      budget: minutes for probes and trainings together; 0: as long as the experiment says.
      probing: seconds that the probes took.

    Raises:
      InvalidValue: a budget that the probes have used up.
    """
    config = probed.config
    duration = str(config.train.duration)
    facts = {"budget": budget, "experiment": duration}
    if budget:
        seconds = 60 * budget - probing
        plan = make_plan(config, probed.model, len(probed.splits.train))
        steps = int(seconds / 3 / _seconds_a_step(probed, devices, workdir))
        if steps < 1:
            raise InvalidValue(
                f"--budget leaves {max(seconds, 0):.0f} s for three trainings, which is under a step each: give it more"
            )
        duration = f"{min(steps, plan.steps)} steps"
    write_atomically(workdir.folder / FILE, json.dumps(facts | {"duration": duration}))
    return duration


def _seconds_a_step(probed: Probed, devices: Devices, workdir: Workdir) -> float:
    """Of training all layers, measured on the first batch: the step, or reading where that takes longer."""
    config, model, source = probed.config, probed.model, probed.splits.train
    plan = make_plan(config, model, len(source))
    with Screen(None) as screen:
        transforms = transforms_of(config, source, workdir.statistics_file, screen)
    step = mapped_train_step(config, model, plan, devices, transforms)
    state = devices.replicate(initial_state(config, model, plan))
    began = time.monotonic()
    batch = TrainingBatches(source, batch_size=config.train.batch_size, seed=config.seed, steps=1)[0]
    reading = time.monotonic() - began
    batches = devices.split({name: value[None] for name, value in batch.items() if name != "unreadable"}, batch_axis=1)
    times = []
    for _ in range(TIMED_STEPS + 1):
        began = time.monotonic()
        state, metrics = step(state, batches)
        jax.block_until_ready(metrics)
        times.append(time.monotonic() - began)
    return max(float(np.median(times[1:])), reading / max(config.loader.threads, config.loader.workers))
