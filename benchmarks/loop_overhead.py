"""What the loop (feed, figures, records, calls) adds to a step that one would write by hand under `jax.jit`."""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from benchmarks.experiment import Experiment, load, training
from benchmarks.measuring import Result, Row, Stopwatch, Timing, repeat
from benchmarks.plain_step import make_plain_step
from convnets.training.checkpoints import Checkpoints
from convnets.training.loop import Loop
from convnets.training.parallel import Devices
from convnets.training.workdir import Workdir

TARGET = 1.05
WARM = 60
SLICE = 50
"""Steps; the loop writes a record every 50, so each slice has exactly one in it."""

PLAIN = "plain jit, same figures"


class Enough(Exception):
    """The loop has run for as many slices as were wanted."""


class Pausing(Devices):
    """Devices under which the loop, after each slice of its steps, waits while others run theirs.

    Args:
      others: made from (the mapped training step, batches that it takes) once there are some.
      rounds: slices of each.

    Attributes:
      timings: of "loop" and the others.
    """

    def __init__(
        self,
        wrapper: str,
        others: Callable[[Callable[[Any, Any], Any], Any], dict[str, Callable[[], Any]]],
        rounds: int,
    ):
        super().__init__(wrapper, jax.local_devices()[:1])
        self.timings: dict[str, Timing] = {"loop": Timing()}
        self._make_others, self._rounds = others, rounds

    def wrap(
        self,
        function: Callable[[Any, Any], Any],
        outputs: tuple[str, str],
        *,
        batch_axis: int = 0,
        donate: bool = False,
    ) -> Callable[[Any, Any], Any]:
        """The function mapped as ever; the training step, which is the one that donates, pauses now and then."""
        mapped = super().wrap(function, outputs, batch_axis=batch_axis, donate=donate)
        return self._pausing(mapped) if donate else mapped

    def _pausing(self, mapped: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        others: dict[str, Callable[[], Any]] = {}
        watch = Stopwatch(self.timings["loop"], SLICE)
        done = 0

        def call(state: Any, batches: Any) -> Any:
            nonlocal done
            result = mapped(state, batches)
            done += 1
            if done == 1:
                others.update(self._make_others(mapped, batches))
                for name, other in others.items():
                    self.timings[name] = Timing()
                    repeat(other, 2)
            if done >= WARM and (done - WARM) % SLICE == 0:
                jax.block_until_ready(result)
                turn = (done - WARM) // SLICE
                if turn:
                    watch.__exit__()
                    for name in list(others)[:: 1 if turn % 2 else -1]:
                        with Stopwatch(self.timings[name], SLICE):
                            repeat(others[name], SLICE)
                if turn == self._rounds:
                    raise Enough
                watch.__enter__()
            return result

        return call


def measure(experiment: Experiment, rounds: int) -> dict[str, Timing]:
    """Seconds a step of the loop, of the mapped step alone on one batch, and of the plain step on the same batch."""

    def others(mapped: Callable[[Any, Any], Any], batches: Any) -> dict[str, Callable[[], Any]]:
        classes = experiment.model.info.num_classes
        batch = jax.device_put(experiment.examples())
        plain, lean = (
            make_plain_step(experiment.config, classes, experiment.plan, figures=figures) for figures in (True, False)
        )
        return {
            PLAIN: training(plain, experiment.state(), batch),
            "plain jit, loss only": training(lean, experiment.state(), batch),
            "mapped step alone": training(mapped, experiment.state(), batches),
        }

    devices = Pausing(experiment.config.train.wrapper, others, rounds)
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(
            experiment.config, experiment.model, experiment.plan, experiment.splits, devices, Workdir(folder), None
        )
        try:
            loop.run()
        except Enough:
            return devices.timings
    raise AssertionError("the experiment is shorter than the benchmark")


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
    rows: list[Row] = []
    found = []
    for network in ("lenet5",) if quick else ("lenet5", "lenet5_bn"):
        experiment = load(f"network.name={network}", "validation.examples=0", "evaluation.every=1000 epochs")
        timings = measure(experiment, rounds=3 if quick else 16)
        plain = statistics.median(timings[PLAIN].processor)
        for name in (PLAIN, "plain jit, loss only", "mapped step alone", "loop"):
            timing = timings[name]
            rows.append(
                {
                    "network": network,
                    "what": name,
                    "ms_a_step": timing.median * 1e3,
                    **timing.over(timings[PLAIN]),
                    "ratio_of_processor_time": statistics.median(timing.processor) / plain,
                }
            )
        loop = timings["loop"].over(timings[PLAIN])
        saving = checkpoint_seconds(experiment).median
        epoch = timings["loop"].median * len(experiment.splits.train) / experiment.batch_size
        found.append(
            f"{network} {loop['ratio_of_medians']:.3f} by medians and {loop['ratio_of_minima']:.3f} by minima "
            f"(a checkpoint takes {saving * 1e3:.0f} ms, {saving / epoch:.2%} of an epoch)"
        )
    reading = f"the loop over the plain step, target below {TARGET}: " + "; ".join(found)
    return Result("What the loop adds to a step (batch 128)", rows, reading)
