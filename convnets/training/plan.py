"""What a config comes to once the data and the network are known: durations in steps, rates, the schedule, phases."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import optax
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from convnets.errors import InvalidValue, nearest
from convnets.pretrained.depth import below, height
from convnets.pretrained.patterns import Path, matches, matching
from convnets.tasks import Task
from convnets.tasks.model import Model
from convnets.training import optimizers, schedules
from convnets.training.config import options_of
from convnets.training.duration import Clock, Duration


@dataclass(frozen=True)
class Phase:
    """A stretch of training in which the same parameters are trained.

    Attributes:
      start: its first step.
      frozen: the parameters that are not trained.
      factors: of the learning rate, for the parameters where it is not 1.
    """

    start: int
    frozen: frozenset[Path]
    factors: Mapping[Path, float]


@dataclass(frozen=True)
class Plan:
    """What follows from the config once the size of an epoch and the network are known.

    Attributes:
      steps: of the whole training.
      learning_rate: the peak, after scaling by the batch size.
      resolutions: pairs of a step and the side of the training images from it on; none: the source's own.
      phases: in their order; the first begins at step 0.
      metric, higher: what the best checkpoint goes by, and whether more of it is better.
    """

    clock: Clock
    steps: int
    learning_rate: float
    schedule: optax.Schedule
    optimizer: optax.GradientTransformation
    plateau: optax.GradientTransformationExtraArgs | None
    resolutions: tuple[tuple[int, int], ...]
    phases: tuple[Phase, ...]
    metric: str
    higher: bool
    evaluate_every: Duration
    checkpoint_every: Duration
    log_every: Duration

    def phase_at(self, step: int) -> Phase:
        """The phase in which the step after the first `step` steps is taken."""
        return next(phase for phase in reversed(self.phases) if phase.start <= step)


def make_plan(config: ConfigDict, model: Model, epoch_size: int) -> Plan:
    """Durations in steps, the learning rate for the batch size, the schedule, the optimizer and the phases.

    Raises:
      InvalidValue: a field that says what can't be, as parts to freeze that the network does not have.
    """
    clock = Clock(config.train.batch_size, epoch_size)
    steps = clock.duration(config.train.duration).steps
    rate = config.optimizer.learning_rate
    if config.optimizer.reference_batch_size:
        rate *= config.train.batch_size / config.optimizer.reference_batch_size
    metric, higher = metric_of(config, model.task)
    phases = _phases(config, model, clock, steps)
    return Plan(
        clock=clock,
        steps=steps,
        learning_rate=rate,
        schedule=schedules.create(
            config.schedule.name,
            rate,
            steps,
            lambda text: clock.duration(text).steps,
            warmup=config.schedule.warmup,
            **options_of(config, "schedule"),
        ),
        optimizer=optimizers.create(
            config.optimizer.name,
            weight_decay=config.optimizer.weight_decay,
            decay_bias_and_norm=config.optimizer.decay_bias_and_norm,
            gradient_clip=config.optimizer.gradient_clip,
            # Parameters that are trained later begin to count their steps later.
            separately=len(phases) > 1,
            **options_of(config, "optimizer"),
        ),
        plateau=_plateau(config),
        resolutions=_resolutions(config, clock, steps),
        phases=phases,
        metric=metric,
        higher=higher,
        evaluate_every=clock.duration(config.evaluation.every),
        checkpoint_every=clock.duration(config.checkpoint.every or "0 steps"),
        log_every=clock.duration(config.log.every),
    )


def metric_of(config: ConfigDict, task: Task) -> tuple[str, bool]:
    """The metric that the best checkpoint goes by, and whether more of it is better.

    Raises:
      InvalidValue: a metric that the task does not have.
    """
    metric = config.evaluation.metric or task.primary
    if metric not in task.metrics:
        raise InvalidValue(f"unknown evaluation.metric {metric!r}: {nearest(metric, task.metrics)}")
    return metric, task.metrics[metric]


def _plateau(config: ConfigDict) -> optax.GradientTransformationExtraArgs | None:
    schedule = config.schedule
    if schedule.name != "plateau":
        return None
    if not config.validation.examples:
        raise InvalidValue("the plateau schedule goes by the validation split: set validation.examples above 0")
    # Optax wants one of the tolerances above zero; below the smallest float32 it counts as none.
    return optax.contrib.reduce_on_plateau(
        factor=schedule.factor, patience=schedule.patience, rtol=0.0, atol=max(schedule.tolerance, 1e-45)
    )


def _by_step(
    field: str,
    given: Iterable[Any],
    clock: Clock,
    steps: int,
    *,
    example: tuple[str, Any],
    what: str,
    is_allowed: Callable[[Any], bool],
) -> tuple[tuple[int, Any], ...]:
    """Pairs of a duration and a value as pairs of a step and the value."""
    given = tuple(given)
    try:
        pairs = tuple((clock.duration(start).steps, value) for start, value in given)
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"{field} has pairs such as {example}, and is {given}: {error}") from None
    starts = [start for start, _ in pairs]
    if starts[0] != 0 or starts != sorted(set(starts)) or not all(is_allowed(value) for _, value in pairs):
        raise InvalidValue(
            f"{field} begins with '0 steps' and goes on to later steps, each with {what}, and is {given}"
        )
    if starts[-1] >= steps:
        raise InvalidValue(
            f"{field} comes to {pairs[-1][1]!r} at step {starts[-1]}, and training ends after {steps}: let it come "
            "earlier, or train for longer"
        )
    return pairs


def _resolutions(config: ConfigDict, clock: Clock, steps: int) -> tuple[tuple[int, int], ...]:
    """The sides of training images by the step from which they are served."""
    if not config.train.resolutions:
        return ()
    pairs = _by_step(
        "train.resolutions",
        config.train.resolutions,
        clock,
        steps,
        example=("6 epochs", 160),
        what="a side in pixels",
        is_allowed=lambda side: isinstance(side, int) and side > 0,
    )
    last, size = pairs[-1][1], config.data.get("size")
    if last != size:
        raise InvalidValue(f"train.resolutions ends with {last} pixels, and must end with data.size, {size}")
    return pairs


def _phases(config: ConfigDict, model: Model, clock: Clock, steps: int) -> tuple[Phase, ...]:
    """The phases of a training.

    Raises:
      InvalidValue: a feature map or a pattern that fits nothing, or a phase in which everything would be frozen.
    """
    freeze, optimizer = config.freeze, config.optimizer
    field = "freeze.below"
    stages: tuple[tuple[int, str], ...] = ((0, freeze.below),)
    if freeze.schedule:
        if freeze.below:
            raise InvalidValue(
                f"freeze.below is {freeze.below!r} beside a freeze.schedule, which says it for all times: set one of "
                "them only"
            )
        field = "freeze.schedule"
        stages = _by_step(
            field,
            freeze.schedule,
            clock,
            steps,
            example=("6 epochs", "stage3"),
            what="a feature map or ''",
            is_allowed=lambda name: isinstance(name, str),
        )
    if not (any(name for _, name in stages) or freeze.layers or optimizer.rates or optimizer.depth_decay < 1):
        # The network need not be traced.
        return tuple(Phase(start, frozenset(), {}) for start, _ in stages)
    paths = set(flatten_dict(model.shapes()["params"]))
    always = matching(paths, freeze.layers, "freeze.layers")
    factors = _factors(optimizer, paths, height(model.network, model.image_shape))
    phases = []
    for start, name in stages:
        frozen = always | _below(field, name, model.network, model.image_shape)
        if frozen == paths:
            raise InvalidValue(f"{field} and freeze.layers leave nothing to train from step {start} on: freeze less")
        phases.append(Phase(start, frozenset(frozen), factors))
    return tuple(phases)


def _below(field: str, name: str, network: nn.Module, image_shape: tuple[int, int, int]) -> set[Path]:
    try:
        return below(network, image_shape, name) if name else set()
    except InvalidValue as error:
        raise InvalidValue(f"{field}: {error}") from None


def _factors(optimizer: ConfigDict, paths: Iterable[Path], heights: Mapping[Path, int]) -> dict[Path, float]:
    """Of the first rate that matches, times the decay with depth."""
    matching(paths, [pattern for pattern, _ in optimizer.rates], "optimizer.rates")
    found = {}
    for path in paths:
        rate = next((factor for pattern, factor in optimizer.rates if matches(path, pattern)), 1.0)
        found[path] = float(rate * optimizer.depth_decay ** heights.get(path, 0))
    return {path: factor for path, factor in found.items() if factor != 1}
