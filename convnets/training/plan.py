"""What a config comes to once the size of an epoch is known: durations in steps, rates, schedules."""

from dataclasses import dataclass

import optax
from ml_collections import ConfigDict

from convnets.errors import InvalidValue, nearest
from convnets.tasks import Task
from convnets.training import optimizers, schedules
from convnets.training.config import options_of
from convnets.training.duration import Clock, Duration


@dataclass(frozen=True)
class Plan:
    """What follows from the config once the size of an epoch is known.

    Attributes:
      steps: of the whole training.
      learning_rate: the peak, after scaling by the batch size.
      resolutions: pairs of a step and the side of the training images from it on; none: the source's own.
      unfreezing: pairs of a step, the first 0, and the feature map whose layers below are frozen from it on; "": none.
      metric, higher: what the best checkpoint goes by, and whether more of it is better.
    """

    clock: Clock
    steps: int
    learning_rate: float
    schedule: optax.Schedule
    optimizer: optax.GradientTransformation
    plateau: optax.GradientTransformationExtraArgs | None
    resolutions: tuple[tuple[int, int], ...]
    unfreezing: tuple[tuple[int, str], ...]
    metric: str
    higher: bool
    evaluate_every: Duration
    checkpoint_every: Duration
    log_every: Duration


def make_plan(config: ConfigDict, task: Task, epoch_size: int) -> Plan:
    """Durations in steps, the learning rate for the batch size, the schedule and the optimizer.

    Raises:
      InvalidValue: a field that says what can't be.
    """
    clock = Clock(config.train.batch_size, epoch_size)
    steps = clock.duration(config.train.duration).steps
    rate = config.optimizer.learning_rate
    if config.optimizer.reference_batch_size:
        rate *= config.train.batch_size / config.optimizer.reference_batch_size
    metric = config.evaluation.metric or task.primary
    if metric not in task.metrics:
        raise InvalidValue(f"unknown evaluation.metric {metric!r}: {nearest(metric, task.metrics)}")
    plateau = None
    if config.schedule.name == "plateau":
        if not config.validation.examples:
            raise InvalidValue("the plateau schedule goes by the validation split: set validation.examples above 0")
        plateau = optax.contrib.reduce_on_plateau(
            factor=config.schedule.factor,
            patience=config.schedule.patience,
            rtol=0.0,
            # Optax wants one of the two above zero; below the smallest float32 it counts as none.
            atol=max(config.schedule.tolerance, 1e-45),
        )
    unfreezing = _unfreezing(config, clock, steps)
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
            separately=len(unfreezing) > 1,
            **options_of(config, "optimizer"),
        ),
        plateau=plateau,
        resolutions=_resolutions(config, clock, steps),
        unfreezing=unfreezing,
        metric=metric,
        higher=task.metrics[metric],
        evaluate_every=clock.duration(config.evaluation.every),
        checkpoint_every=clock.duration(config.checkpoint.every or "0 steps"),
        log_every=clock.duration(config.log.every),
    )


def _resolutions(config: ConfigDict, clock: Clock, steps: int) -> tuple[tuple[int, int], ...]:
    """The sides of training images by the step from which they are served."""
    given = tuple(config.train.resolutions)
    if not given:
        return ()
    try:
        pairs = tuple((clock.duration(start).steps, side) for start, side in given)
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"train.resolutions has pairs such as ('6 epochs', 160), and is {given}: {error}") from None
    starts = [start for start, _ in pairs]
    sides = [side for _, side in pairs]
    if starts[0] != 0 or starts != sorted(set(starts)) or not all(isinstance(side, int) and side > 0 for side in sides):
        raise InvalidValue(
            f"train.resolutions begins with '0 steps' and goes on to later steps, each with a side in pixels, and is "
            f"{given}"
        )
    if starts[-1] >= steps:
        raise InvalidValue(
            f"train.resolutions comes to {sides[-1]} pixels at step {starts[-1]}, and training ends after {steps}: "
            "let it come earlier, or train for longer"
        )
    if sides[-1] != config.data.get("size"):
        raise InvalidValue(
            f"train.resolutions ends with {sides[-1]} pixels, and must end with data.size, {config.data.get('size')}"
        )
    return pairs


def _unfreezing(config: ConfigDict, clock: Clock, steps: int) -> tuple[tuple[int, str], ...]:
    """The feature maps whose layers below are frozen, by the step from which they are."""
    below, given = config.freeze.below, tuple(config.freeze.schedule)
    if not given:
        return ((0, below),)
    if below:
        raise InvalidValue(
            f"freeze.below is {below!r} beside a freeze.schedule, which says it for all times: set one of them only"
        )
    try:
        pairs = tuple((clock.duration(start).steps, name) for start, name in given)
    except (TypeError, ValueError) as error:
        raise InvalidValue(
            f"freeze.schedule has pairs such as ('6 epochs', 'stage3'), and is {given}: {error}"
        ) from None
    starts = [start for start, _ in pairs]
    if starts[0] != 0 or starts != sorted(set(starts)) or not all(isinstance(name, str) for _, name in pairs):
        raise InvalidValue(
            f"freeze.schedule begins with '0 steps' and goes on to later steps, each with a feature map or '', and is "
            f"{given}"
        )
    if starts[-1] >= steps:
        raise InvalidValue(
            f"freeze.schedule comes to {pairs[-1][1]!r} at step {starts[-1]}, and training ends after {steps}: let it "
            "come earlier, or train for longer"
        )
    return pairs
