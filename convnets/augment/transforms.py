"""The table of transforms, and what they share: draws from an interval, and checks of their options.

A check raises `InvalidValue`, in whose sentence the option is named by `what`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, get_args

import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue
from convnets.registry import Registry

Example = dict[str, Array]

transforms: Registry[Callable[..., Example]] = Registry("augmentation")
"""Each is `f(key, example, *, options) -> example`: pure, jittable, and may be vmapped with a key an example.

An example has `image [H, W, C]`, float in [0, 1]; `mask [H, W]` and `boxes [K, 4]`, where it has them, go along.
"""


def changed(example: Example, **changes: Callable[[Array], Array]) -> Example:
    """The example with those of its fields that are named here replaced by a function of them."""
    return example | {
        field: change(jnp.asarray(example[field])) for field, change in changes.items() if field in example
    }


def between(share: Array, interval: Sequence[float]) -> Array:
    """From `share`, uniform in [0, 1), to uniform in the interval (low, high)."""
    low, high = interval
    return low + share * (high - low)


def log_between(share: Array, interval: Sequence[float]) -> Array:
    """From `share`, uniform in [0, 1), to log-uniform in the positive interval: doubling is as likely as halving."""
    low, high = interval
    return low * (high / low) ** share


def check_interval(what: str, interval: Sequence[float], least: float | None = None, most: float = math.inf) -> None:
    """Refuses anything but a pair `low <= high` of finite numbers within [least, most]; without `least`, above 0."""
    pair = tuple(interval) if isinstance(interval, list | tuple) else ()
    finite = len(pair) == 2 and all(isinstance(end, int | float) and math.isfinite(end) for end in pair)
    if finite and pair[0] <= pair[1] <= most and (pair[0] > 0 if least is None else pair[0] >= least):
        return
    start = "(0" if least is None else f"[{least:g}"
    allowed = f"in {start}, {most:g}]" if most < math.inf else "above 0" if least is None else f"of at least {least:g}"
    raise InvalidValue(f"{what} is an interval (low, high) of numbers {allowed}, and is {interval!r}")


def check_strength(what: str, strength: float, limit: float = math.inf, *, limit_itself: bool = True) -> None:
    """Refuses anything but a finite number of [0, limit], or of [0, limit) where the limit itself is too much."""
    # True is a number to Python, and a mistake here.
    number = isinstance(strength, int | float) and not isinstance(strength, bool) and math.isfinite(strength)
    if not (number and 0 <= strength <= limit and (limit_itself or strength < limit)):
        allowed = "be a finite number of 0 or more"
        if limit < math.inf:
            allowed = f"lie in [0, {limit:g}{']' if limit_itself else ')'}"
        raise InvalidValue(f"{what} must {allowed}, and is {strength!r}")


def check_floating(what: str, image: Any) -> None:
    """Refuses an image of integers."""
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise InvalidValue(f"{what} takes images of floats in [0, 1], and was given {image.dtype}: divide by 255")


def check_choice(what: str, given: Any, choices: Any) -> None:
    """Refuses what is not one of the values of the type `Literal[...]`."""
    if given not in get_args(choices):
        allowed = " or ".join(repr(one) for one in get_args(choices))
        raise InvalidValue(f"{what} is {allowed}, and was given {given!r}")
