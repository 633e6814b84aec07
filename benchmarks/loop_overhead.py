"""What the loop (feed, figures, records, calls) adds to a step that one would write by hand under `jax.jit`."""

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from benchmarks.experiment import Experiment, load, training
from benchmarks.measuring import Result, Row
from benchmarks.plain_step import make_plain_step
from convnets.analysis.timing import FEWEST, Stopwatch, Timing, repeat
from convnets.parallel import Devices
from convnets.training.checkpoints import Checkpoints
from convnets.training.loop import Loop
from convnets.training.workdir import Workdir

TARGET = 1.05
WARM = 25
"""Steps of the loop before its first slice."""

PLAIN = "plain jit"
MAPPED = "mapped step alone"
LOOP = "loop"

Step = Callable[[Any, Any], Any]


class Enough(Exception):
    """The loop has run for as long as was wanted."""


class Pausing(Devices):
    """Devices under which the loop, after each slice of its steps, stands still while others run as many.

    Args:
      others: makes them, once there are a mapped training step and batches that it takes.
      steps: of a slice.
      seconds: no round of slices begins later than this, but there are three in any case.

    Attributes:
      timings: seconds a step, of `LOOP` and of the others.
    """

    def __init__(
        self, wrapper: str, others: Callable[[Step, Any], dict[str, Callable[[], Any]]], steps: int, seconds: float
    ):
        super().__init__(wrapper, jax.local_devices()[:1])
        self.timings: dict[str, Timing] = {LOOP: Timing()}
        self._make_others, self._steps, self._seconds = others, steps, seconds

    def wrap(
        self,
        function: Step,
        outputs: tuple[str, str],
        *,
        batch_axis: int = 0,
        donate: bool = False,
        rematerialized: bool = False,
    ) -> Step:
        """The function mapped as ever; the training step, which is the one that donates, pauses now and then."""
        mapped = super().wrap(function, outputs, batch_axis=batch_axis, donate=donate, rematerialized=rematerialized)
        return self._pausing(mapped) if donate else mapped

    def _pausing(self, mapped: Step) -> Step:
        others: dict[str, Callable[[], Any]] = {}
        watch = Stopwatch(self.timings[LOOP], self._steps)
        done, began = 0, 0.0

        def call(state: Any, batches: Any) -> Any:
            nonlocal done, began
            result = mapped(state, batches)
            done += 1
            if done == 1:
                others.update(self._make_others(mapped, batches))
                for name, other in others.items():
                    self.timings[name] = Timing()
                    repeat(other, 2)
            rounds, rest = divmod(done - WARM, self._steps)
            if rounds < 0 or rest:
                return result
            jax.block_until_ready(result)
            if rounds == 0:
                began = time.perf_counter()
            else:
                watch.stop()
                for name in list(others)[:: 1 if rounds % 2 else -1]:
                    with Stopwatch(self.timings[name], self._steps):
                        repeat(others[name], self._steps)
            if rounds >= FEWEST and time.perf_counter() - began > self._seconds:
                raise Enough
            watch.start()
            return result

        return call


def measure(experiment: Experiment, steps: int, seconds: float) -> dict[str, Timing]:
    """Seconds a step of the loop, of the mapped step alone on one batch, and of the plain step on the same batch."""

    def others(mapped: Step, batches: Any) -> dict[str, Callable[[], Any]]:
        classes = len(experiment.model.info.classes)
        batch = jax.device_put(experiment.examples())
        plain = make_plain_step(experiment.config, classes, experiment.plan)
        return {
            PLAIN: training(plain, experiment.state(), batch),
            MAPPED: training(mapped, experiment.state(), batches),
        }

    devices = Pausing(experiment.config.train.wrapper, others, steps, seconds)
    # A terminal that nobody looks at, so that the progress bar is drawn as for a user.
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        loop = Loop(
            experiment.config,
            experiment.model,
            experiment.plan,
            experiment.splits,
            devices,
            Workdir(folder),
            Console(file=nowhere, force_terminal=True, width=120),
        )
        with contextlib.suppress(Enough):
            loop.run()
    return devices.timings


def checkpoint_seconds(experiment: Experiment) -> Timing:
    """Of saving the state until it is whole on disk."""
    timing, state = Timing(), experiment.state()
    with tempfile.TemporaryDirectory() as folder, Checkpoints(Path(folder)) as checkpoints:
        for step in range(3):
            with Stopwatch(timing, 1):
                checkpoints.save(step, state, {"step": step})
                checkpoints.wait()
    return timing


def run(quick: bool) -> Result:
    """One table for LeNet-5 with and without batch norm."""
    # Short slices, because a machine's moods last for seconds. Each has a record in it, so there are more than usual.
    steps, seconds = (10, 2) if quick else (25, 35)
    rows: list[Row] = []
    found = []
    for network in ("lenet5",) if quick else ("lenet5", "lenet5_bn"):
        experiment = load(
            f"network.name={network}",
            "validation.examples=0",
            "evaluation.every=1000 epochs",
            f"log.every={steps} steps",
        )
        timings = measure(experiment, steps, seconds)
        plain = timings[PLAIN]
        for name in (PLAIN, MAPPED, LOOP):
            timing = timings[name]
            rows.append(
                {
                    "network": network,
                    "what": name,
                    "ms_a_step": timing.median * 1e3,
                    **timing.over(plain),
                    "ratio_of_processor_time": statistics.median(timing.processor) / statistics.median(plain.processor),
                }
            )
        ratios = timings[LOOP].over(plain)
        saving = checkpoint_seconds(experiment).median
        epoch = timings[LOOP].median * len(experiment.splits.train) / experiment.batch_size
        found.append(
            f"{network} {ratios['ratio_of_medians']:.3f} by medians and {ratios['ratio_of_minima']:.3f} by minima "
            f"(a checkpoint takes {saving * 1e3:.0f} ms, {saving / epoch:.2%} of an epoch)"
        )
    reading = f"time of the loop over time of the plain step, target below {TARGET}: " + "; ".join(found)
    return Result("What the loop adds to a step (batch 128)", rows, reading)
