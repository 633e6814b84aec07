"""Draws from an interval, and the refusal of what is none."""

import math
from collections.abc import Sequence

from jax import Array

from convnets.errors import InvalidValue


def between(share: Array, interval: Sequence[float]) -> Array:
    """From `share`, uniform in [0, 1), to uniform in the interval (low, high)."""
    low, high = interval
    return low + share * (high - low)


def log_between(share: Array, interval: Sequence[float]) -> Array:
    """From `share`, uniform in [0, 1), to log-uniform in the positive interval: doubling is as likely as halving."""
    low, high = interval
    return low * (high / low) ** share


def check_interval(what: str, interval: Sequence[float], least: float = 0.0, most: float = math.inf) -> None:
    """Refuses anything but a pair `low <= high` of positive numbers within [least, most].

    Raises:
      InvalidValue: such an interval; `what` names it in the sentence.
    """
    allowed = f"in [{least:g}, {most:g}]" if least > 0 else f"in (0, {most:g}]" if most < math.inf else "above 0"
    pair = tuple(interval) if isinstance(interval, list | tuple) else ()
    finite = len(pair) == 2 and all(isinstance(end, int | float) and math.isfinite(end) for end in pair)
    if not (finite and 0 < pair[0] <= pair[1] and least <= pair[0] and pair[1] <= most):
        raise InvalidValue(f"{what} is an interval (low, high) of numbers {allowed}, and is {interval!r}")


def check_strength(what: str, strength: float, limit: float = math.inf, *, limit_itself: bool = True) -> None:
    """Refuses anything but a finite number of [0, limit], or of [0, limit) where the limit itself is too much.

    Raises:
      InvalidValue: such a strength; `what` names it in the sentence.
    """
    allowed = "must not be negative"
    if limit < math.inf:
        allowed = f"must lie in [0, {limit:g}{']' if limit_itself else ')'}"
    number = isinstance(strength, int | float) and math.isfinite(strength)
    if not (number and 0 <= strength <= limit and (limit_itself or strength < limit)):
        raise InvalidValue(f"{what} {allowed}, and is {strength!r}")
