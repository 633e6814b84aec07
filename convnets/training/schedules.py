"""Learning rates over the course of training, each with a linear warm-up before it.

A schedule is a pure function of the step. The one that depends on what happened, the lecture's "divide by 10 when
the validation error plateaus", is a constant schedule times a scale that the train state remembers.
"""

import math
from collections import Counter
from collections.abc import Callable

import optax

from convnets.errors import InvalidValue
from convnets.registry import Registry

InSteps = Callable[[str], int]

schedules: Registry[Callable[..., optax.Schedule]] = Registry("schedule")
"""Each is `f(peak, total, in_steps, *, options) -> schedule` over the steps after the warm-up.

`peak` is the base learning rate, `total` the number of those steps, `in_steps` turns "30 epochs" from the start of
training into the number of the step then, counted as the schedule's own are: "0 steps" is minus the warm-up.
"""


@schedules.register
def constant(peak: float, total: int, in_steps: InSteps) -> optax.Schedule:
    """The peak all the way."""
    return optax.constant_schedule(peak)


@schedules.register
def staircase(
    peak: float,
    total: int,
    in_steps: InSteps,
    *,
    boundaries: tuple[str, ...] = ("30 epochs", "60 epochs"),
    factor: float = 0.1,
) -> optax.Schedule:
    """The peak, multiplied by `factor` at each boundary. Boundaries count from the start of training."""
    if factor <= 0:
        raise InvalidValue(f"schedule.factor of the staircase is {factor}, and must be positive")
    steps = Counter(in_steps(boundary) for boundary in boundaries)
    return optax.piecewise_constant_schedule(peak, {step: factor**times for step, times in steps.items()})


@schedules.register
def exponential_staircase(
    peak: float, total: int, in_steps: InSteps, *, every: str = "8 epochs", factor: float = 0.96
) -> optax.Schedule:
    """The peak, multiplied by `factor` again and again (GoogLeNet, section 6: "decreasing by 4% every 8 epochs").

    Args:
      every: the length of a stair; they count from the start of training.
    """
    warmup = -in_steps("0 steps")
    length = in_steps(every) + warmup
    if length < 1 or not 0 < factor < math.inf:
        raise InvalidValue(
            f"the exponential staircase needs stairs of at least a step and a positive factor, not {every!r} and "
            f"{factor}"
        )
    return lambda step: peak * factor ** ((step + warmup) // length)


@schedules.register
def cosine(peak: float, total: int, in_steps: InSteps, *, final: float = 0.0) -> optax.Schedule:
    """Half a cosine from the peak to `final` times the peak (Loshchilov and Hutter, "SGDR", 2017)."""
    return optax.cosine_decay_schedule(peak, max(total, 1), alpha=final)


@schedules.register
def plateau(
    peak: float,
    total: int,
    in_steps: InSteps,
    *,
    factor: float = 0.1,
    patience: int = 5,
    tolerance: float = 1e-4,
) -> optax.Schedule:
    """The peak, multiplied by `factor` when the validation metric has not got better for so many evaluations.

    Args:
      factor: the lecture's 1/10.
      patience: evaluations in a row without a gain.
      tolerance: a gain counts if it is larger than this, in the metric's own unit.
    """
    if patience < 1 or not 0 < factor < 1 or not tolerance >= 0:
        raise InvalidValue(
            f"the plateau schedule needs patience >= 1, 0 < factor < 1 and tolerance >= 0, not {patience}, {factor} "
            f"and {tolerance}"
        )
    return optax.constant_schedule(peak)


def create(
    name: str, peak: float, total: int, in_steps: InSteps, *, warmup: str = "0 steps", **options: object
) -> optax.Schedule:
    """A schedule by its name, over `total` steps of which the first are a linear warm-up.

    Args:
      warmup: a duration; the schedule proper begins after it, and boundaries of a staircase stay where they are.

    Raises:
      InvalidValue: an unknown name, an option it does not have, or a warm-up longer than the training.
    """
    schedules.check_options(name, options)
    warm = in_steps(warmup)
    if warm > total:
        raise InvalidValue(
            f"the warm-up of {warmup} is longer than the training of {total} steps: shorten schedule.warmup"
        )
    if not warm:
        return schedules[name](peak, total, in_steps, **options)

    def in_steps_after(text: str) -> int:
        return in_steps(text) - warm

    after = schedules[name](peak, total - warm, in_steps_after, **options)
    # Its first step is not wasted on 0, and its last has the peak.
    ramp = optax.linear_schedule(peak / warm, peak, max(warm - 1, 1))
    return optax.join_schedules([ramp, after], [warm])
