"""What the fields of a config may hold, and fields set by their names."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from convnets.augment import compose
from convnets.errors import InvalidValue
from convnets.evaluation.averaging import AVERAGES
from convnets.evaluation.protocols import protocols
from convnets.layers import implementation
from convnets.parallel import WRAPPERS
from convnets.registry import type_wanted
from convnets.training.config import CHOICES, complete, flatten, refuse_unknown

Rule = tuple[Callable[[Any], bool], str]
"""Whether a value is allowed, and what it must be, in words."""

POSITIVE: Rule = (lambda value: 0 < value < math.inf, "must be positive")
NOT_NEGATIVE: Rule = (lambda value: 0 <= value < math.inf, "must not be negative")
BELOW_ONE: Rule = (lambda value: 0 <= value < 1, "must lie in [0, 1)")
SEED: Rule = (lambda value: 0 <= value < 2**31, f"must lie in [0, {2**31})")
PATTERNS: Rule = (
    lambda value: all(isinstance(pattern, str) for pattern in value),
    "takes patterns of names, such as ('conv1', 'stage2*')",
)
NUMBERS: Rule = (
    lambda value: all(isinstance(number, int | float) and math.isfinite(number) for number in value),
    "takes finite numbers",
)


def one_of(values: Iterable[str]) -> Rule:
    """The rule of a field that takes one of a few words."""
    allowed = tuple(values)
    return allowed.__contains__, f"must be one of {', '.join(allowed)}"


def _is_rate(pair: Any) -> bool:
    return (
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], int | float)
        and not isinstance(pair[1], bool)
        and 0 < pair[1] < math.inf
    )


RULES: dict[str, Rule] = {
    "seed": SEED,
    "subset.per_class": NOT_NEGATIVE,
    "subset.seed": SEED,
    "validation.seed": SEED,
    "initialize.layers": PATTERNS,
    "initialize.head": one_of(("keep", "new")),
    "initialize.stem": one_of(("keep", "adapt", "new")),
    "initialize.allow": PATTERNS,
    "freeze.layers": PATTERNS,
    "normalization.mean": NUMBERS,
    "normalization.std": NUMBERS,
    "batch_norm.momentum": BELOW_ONE,
    "batch_norm.epsilon": NOT_NEGATIVE,
    "batch_norm.per": one_of(("filter", "location")),
    "batch_norm.scope": one_of(("synchronized", "device")),
    "optimizer.learning_rate": POSITIVE,
    "optimizer.reference_batch_size": NOT_NEGATIVE,
    "optimizer.rates": (
        lambda value: all(map(_is_rate, value)),
        "takes pairs of a pattern and a positive factor, such as ('logits', 1.0); what is not to be trained is named "
        "in freeze.layers",
    ),
    "optimizer.depth_decay": (lambda value: 0 < value <= 1, "must lie in (0, 1]"),
    "optimizer.weight_decay": NOT_NEGATIVE,
    "optimizer.gradient_clip": NOT_NEGATIVE,
    "train.batch_size": POSITIVE,
    "train.gradient_accumulation": POSITIVE,
    "train.average_decay": BELOW_ONE,
    "train.steps_per_dispatch": POSITIVE,
    "train.wrapper": one_of(WRAPPERS),
    "evaluation.batch_size": POSITIVE,
    "evaluation.checkpoint": one_of(("best", "last")),
    "evaluation.protocol": one_of(protocols),
    "evaluation.average": one_of(AVERAGES),
    "evaluation.window": POSITIVE,
    "checkpoint.keep": POSITIVE,
    "loader.threads": POSITIVE,
    "loader.buffer": POSITIVE,
    "loader.workers": NOT_NEGATIVE,
    "cpu.kernels": one_of(implementation.CHOICES),
}
"""What the fields may hold; the options of a choice are checked by the choice itself."""


def check(config: ConfigDict) -> None:
    """Refuses values that would fail only later, those of the choices' own options excepted.

    Raises:
      InvalidValue: the first field that holds a value that is not allowed.
    """
    fields = dict(flatten(config))
    for field, (is_allowed, words) in RULES.items():
        if not is_allowed(fields[field]):
            raise InvalidValue(f"{field} is {fields[field]!r}, and {words}")
    window, overlap = config.evaluation.window, config.evaluation.overlap
    if not 0 <= overlap < window:
        raise InvalidValue(f"evaluation.overlap is {overlap}, and must lie in [0, {window}), within a window")
    mean, std = config.normalization.mean, config.normalization.std
    if mean and (len(mean) != len(std) or min(std) <= 0):
        raise InvalidValue("normalization needs a mean and a positive std for each channel")
    compose(config.augmentation)


def with_fields(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    """The config, completed, checked and locked, with other values in some fields.

    Args:
      config: completed or not; it stays as it is.
      values: by fields such as "optimizer.learning_rate"; of "network.name" and the like the options follow.

    Raises:
      InvalidValue: a field that is not there (the nearest are named), or a value that it can't have.
    """
    names = {section: values[f"{section}.name"] for section in CHOICES if f"{section}.name" in values}
    for section, name in names.items():
        _check_type(f"{section}.name", config[section].name, name)
    config = ConfigDict(complete(config, names).to_dict())
    refuse_unknown(config, values)
    known = dict(flatten(config))
    for field, value in values.items():
        _check_type(field, known[field], value)
    config.update_from_flattened_dict(
        {field: tuple(value) if isinstance(value, list) else value for field, value in values.items()}
    )
    config.lock()
    check(config)
    return config


def _check_type(field: str, default: Any, value: Any) -> None:
    wanted = type_wanted(default, value)
    if not wanted and isinstance(default, tuple) and not isinstance(value, tuple | list):
        wanted = f"a tuple, such as {default!r}"
    if wanted:
        raise InvalidValue(f"{field} takes {wanted}, and was given {value!r}")
