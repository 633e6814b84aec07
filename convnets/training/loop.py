"""The loop: steps, and at their times the evaluations, checkpoints and records. It knows no task and no architecture.

It stands at a step, does what is due there (save, evaluate), and goes on by one call of the device. All of that is a
function of the step and of what a checkpoint holds, so a run that was stopped anywhere repeats the one left alone.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict
from rich.console import Console

from convnets.augment import Transform
from convnets.data.source import Source, Splits
from convnets.evaluation.evaluator import Evaluation, evaluate
from convnets.evaluation.inference import Inference
from convnets.parallel import Devices
from convnets.progress import Bar, Screen
from convnets.tasks.model import Model
from convnets.training.checkpoint_mirror import CheckpointMirror
from convnets.training.checkpoints import Checkpoints
from convnets.training.feed import Feed
from convnets.training.initialization import Initialization
from convnets.training.interruption import Interruption
from convnets.training.metrics_log import ADVICE, Diverged, MetricsLog, StepMetrics, best_step
from convnets.training.plan import Phase, Plan
from convnets.training.savings import savings
from convnets.training.setup import initial_state, mapped_train_step, transforms_of
from convnets.training.state import TrainState
from convnets.training.workdir import Workdir


@dataclass
class Seconds:
    """Where the time of a run went, its earlier parts included if it was resumed.

    Attributes:
      waiting_for_data: part of `training`.
    """

    compiling: float = 0.0
    training: float = 0.0
    waiting_for_data: float = 0.0
    evaluating: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How a call of `Loop.run` ended.

    Attributes:
      step: steps done.
      interrupted: the signal that ended it, or None.
      test: the evaluation of the test split, unless interrupted.
      test_step: the step of the checkpoint that was tested.
      variables: what was tested, as NumPy arrays.
    """

    step: int
    seconds: Seconds
    interrupted: int | None = None
    test: Evaluation | None = None
    test_step: int | None = None
    variables: Any = None


@dataclass
class Loop:
    """Trains a model by a plan, from where its workdir stands to the end. For one call of `run`."""

    config: ConfigDict
    model: Model
    plan: Plan
    splits: Splits
    devices: Devices
    workdir: Workdir
    console: Console | None
    initialization: Initialization | None = None
    mirror: CheckpointMirror | None = None
    seconds: Seconds = field(default_factory=Seconds)
    step: int = 0

    def run(self) -> Outcome:
        """Trains, evaluates, saves and logs; then evaluates the chosen checkpoint on the test split.

        Raises:
          CheckpointMismatch: the workdir's checkpoint does not fit.
          Diverged: a loss that is not finite; the checkpoints before it stay.
        """
        self.inference = Inference(self.model, self.devices, self.config.evaluation)
        self.metrics = StepMetrics(self.model.task.summarize)
        with (
            Interruption() as self.interruption,
            Checkpoints(
                self.workdir.checkpoints,
                keep=self.config.checkpoint.keep,
                best_step=self._best_step,
                sweep=True,
                when_whole=self._copy,
            ) as self.checkpoints,
        ):
            self._start_or_resume()
            with (
                MetricsLog(
                    self.workdir.metrics_file, self.workdir.events, self.step, writes=jax.process_index() == 0
                ) as self.log,
                Screen(self.console) as self.screen,
            ):
                with Bar(self.screen, "training", self.plan.steps, self.step) as self.bar, self._feed() as self.feed:
                    self._train()
                return self._test() if self.interruption.acknowledged is None else self._interrupted()

    def _start_or_resume(self) -> None:
        self.step = _of_first(max(self.checkpoints.steps, default=0))
        self.state = initial_state(self.config, self.model, self.plan, at=self.step)
        if self.step:
            self.seconds = Seconds(**self.checkpoints.memory(self.step)["seconds"])
            self.state = self.checkpoints.restore(self.step, self.state)
            if self.console is not None:
                self.console.print(f"resuming at step {self.step} of {self.plan.steps}", highlight=False)
        elif self.initialization is not None:
            self.state = self.initialization.apply(self.state)
            if self.console is not None:
                self.console.print(f"begins with {self.initialization.summary}", highlight=False, soft_wrap=True)
        self.state = self.devices.replicate(self.state)

    def _train(self) -> None:
        plan = self.plan
        chain = transforms_of(self.config, self.splits.train, self.workdir.statistics_file, self.screen)
        phase = None
        self._begin_interval()
        while True:
            if phase is not (phase := plan.phase_at(self.step)):
                train_step, compiled = self._begin(phase, chain), set[tuple[int, ...]]()
            finished = self.step == plan.steps
            evaluation_due = finished or plan.evaluate_every.ends_at(self.step)
            stop = self.interruption.requested()
            if evaluation_due or stop or plan.checkpoint_every.ends_at(self.step):
                self._record_training()
                self._save()
            if stop:
                break
            if evaluation_due:
                if not self._validate():
                    continue
                self._begin_interval()
            if finished:
                break

            count, batches = next(self.feed)
            began = time.monotonic()
            self.state, metrics = train_step(self.state, batches)
            shape = batches["image"].shape
            if shape not in compiled:
                compiled.add(shape)
                jax.block_until_ready(metrics)
                self.seconds.compiling += time.monotonic() - began
                self.began += time.monotonic() - began
            self.metrics.add(self.step, metrics)
            self.step += count
            if plan.log_every.ends_within(self.step - count, self.step):
                self._record_training(keep=1)
        self.checkpoints.wait()

    def _begin(self, phase: Phase, chain: Sequence[Transform]) -> Any:
        """The mapped step of a phase. The state moves into it at once, so what is saved has the shape of its step."""
        began = time.monotonic()
        if phase.start == self.step > 0:
            self.state = self.devices.replicate(self._in_phase_of(self.step))
        if self.console is not None and any(each.frozen for each in self.plan.phases):
            saved = savings(self.config, self.model, self.plan, phase, self.splits.train, chain)
            self.screen.say(f"from step {phase.start} on {saved}")
        self.began += time.monotonic() - began
        return mapped_train_step(self.config, self.model, self.plan, self.devices, chain, at=self.step)

    def _in_phase_of(self, step: int) -> TrainState:
        """The state, as NumPy arrays, in the shape that it has at that step."""
        return jax.device_get(self.state).entering(self.plan.optimizer, self.plan.phase_at(step).frozen)

    def _feed(self) -> closing[Feed]:
        feed = Feed(
            self.config,
            self.splits.train,
            self.devices,
            sizes=self._sizes(),
            start=self.step,
            steps=self.plan.steps,
            resolutions=self.plan.resolutions,
        )
        return closing(feed)

    def _sizes(self) -> Iterator[int]:
        """Steps in each call of the device: as many as the config says, but none reaches past what is due."""
        step, plan = self.step, self.plan
        while step < plan.steps:
            ends = [plan.steps, plan.evaluate_every.next_end(step), plan.checkpoint_every.next_end(step)]
            starts = [start for start, _ in plan.resolutions] + [phase.start for phase in plan.phases]
            ends += [start for start in starts if start > step]
            count = min(self.config.train.steps_per_dispatch, *(end - step for end in ends if end is not None))
            yield count
            step += count

    def _begin_interval(self) -> None:
        self.began, self.waited = time.monotonic(), self.feed.waited

    def _record_training(self, keep: int = 0) -> None:
        """Fetches the metrics of all calls but the last `keep`, and records those of the interval that ends here."""
        self.metrics.fetch(keep)
        record = self.metrics.record()
        if record is None:
            return
        step = self.metrics.last_step
        seconds = time.monotonic() - self.began
        record["images_per_second"] = record["examples"] / seconds
        waited = self.feed.waited - self.waited
        record["waiting_for_data"] = waited / seconds
        self.seconds.training += seconds
        self.seconds.waiting_for_data += waited
        self._begin_interval()
        self.log.write({"kind": "train", "step": step, "epoch": self.plan.clock.epochs(step), **record})
        progress = self.model.task.progress
        self.bar.update(
            step,
            f"loss {record['loss']:.4f}  {progress} {record[progress]:.4f}  "
            f"{record['images_per_second']:,.0f} images/s  lr {record['learning_rate']:.3g}",
        )

    def _best_step(self) -> int | None:
        return best_step(self.log.records, self.plan.metric, self.plan.higher)

    def _save(self) -> None:
        memory = {
            "step": self.step,
            "examples": self.step * self.config.train.batch_size,
            "seconds": asdict(self.seconds),
            "best_step": self._best_step(),
            "config": self.config.to_dict(),
        }
        self.checkpoints.save(self.step, self.state, memory)

    def _copy(self, step: int) -> None:
        if self.mirror is not None:
            self.mirror.update(step)

    def _validate(self) -> bool:
        """Evaluates the validation split and tells the plateau schedule; False if interrupted."""
        if self.splits.validation is None:
            return True
        evaluation = self._evaluate(self.state, self.splits.validation, "validation", self.step)
        if evaluation is None:
            return False
        if self.plan.plateau is not None:
            value = evaluation.metrics[self.plan.metric]
            _, plateau = self.plan.plateau.update(
                {}, jax.device_get(self.state.plateau), value=-value if self.plan.higher else value
            )
            self.state = self.state.replace(plateau=self.devices.replicate(plateau))
        return True

    def _test(self) -> Outcome:
        """Evaluates the chosen checkpoint on the test split, and keeps its predictions."""
        step = self.step
        if self.config.evaluation.checkpoint == "best":
            step = _of_first(self._best_step() or self.step)
        state = self.state
        if step != self.step:
            state = self.devices.replicate(self.checkpoints.restore(step, self._in_phase_of(step)))
        test = self._evaluate(state, self.splits.test, "test", step)
        if test is None:
            return self._interrupted()
        if jax.process_index() == 0:
            self.workdir.save_predictions("test", test.records)
        variables = jax.device_get(state.variables())
        return Outcome(self.step, self.seconds, test=test, test_step=step, variables=variables)

    def _interrupted(self) -> Outcome:
        return Outcome(self.step, self.seconds, interrupted=self.interruption.acknowledged)

    def _evaluate(self, state: TrainState, source: Source, split: str, step: int) -> Evaluation | None:
        """Evaluates and records; None if interrupted."""
        evaluation = evaluate(
            self.inference,
            state.variables(),
            source,
            self.model.task.evaluator(len(source)),
            self.devices,
            self.config,
            title=split,
            screen=self.screen,
            stop=self.interruption.requested,
        )
        if evaluation is None:
            return None
        if not all(math.isfinite(value) for value in evaluation.metrics.values()):
            raise Diverged(f"the {split} metrics of step {step} are {evaluation.metrics}: {ADVICE}")
        self.seconds.evaluating += evaluation.seconds
        record = {"kind": "evaluation", "split": split, "step": step, "epoch": self.plan.clock.epochs(step)}
        self.log.write(record | evaluation.metrics | {"examples": evaluation.examples, "seconds": evaluation.seconds})
        metrics = "  ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items())
        where = f"epoch {record['epoch']:.4g}  step {step}  {split}"
        self.screen.say(f"{where}: {metrics}  ({evaluation.examples:,} examples)")
        return evaluation


def _of_first(number: int) -> int:
    """The first process's number in all of them: files that are shared may come into sight a little later elsewhere."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))
