"""What may stand in the fields of an experiment."""

import math

from ml_collections import ConfigDict

from convnets import kernels
from convnets.augment import compose
from convnets.errors import InvalidValue
from convnets.evaluation.protocols import protocols
from convnets.evaluation.scores import AVERAGES

LARGEST_SEED = 2**31


def check(config: ConfigDict) -> None:
    """Refuses values that would fail only later, those of the choices' own options excepted.

    Raises:
      InvalidValue: the first field that holds a value that is not allowed.
    """
    train, evaluation = config.train, config.evaluation
    positive = {
        "train.batch_size": train.batch_size,
        "train.gradient_accumulation": train.gradient_accumulation,
        "train.steps_per_dispatch": train.steps_per_dispatch,
        "evaluation.batch_size": evaluation.batch_size,
        "evaluation.window": evaluation.window,
        "checkpoint.keep": config.checkpoint.keep,
        "loader.threads": config.loader.threads,
        "loader.buffer": config.loader.buffer,
        "optimizer.learning_rate": config.optimizer.learning_rate,
    }
    for field, value in positive.items():
        if not 0 < value < math.inf:
            raise InvalidValue(f"{field} is {value}, and must be positive")
    for field, value in {
        "seed": config.seed,
        "validation.seed": config.validation.seed,
        "subset.seed": config.subset.seed,
    }.items():
        if not 0 <= value < LARGEST_SEED:
            raise InvalidValue(f"{field} is {value}, and must lie in [0, {LARGEST_SEED})")
    not_negative = {
        "optimizer.reference_batch_size": config.optimizer.reference_batch_size,
        "batch_norm.epsilon": config.batch_norm.epsilon,
        "loader.workers": config.loader.workers,
        "subset.per_class": config.subset.per_class,
    }
    for field, value in not_negative.items():
        if not 0 <= value < math.inf:
            raise InvalidValue(f"{field} is {value}, and must not be negative")
    if not 0 <= evaluation.overlap < evaluation.window:
        raise InvalidValue(
            f"evaluation.overlap is {evaluation.overlap}, and must lie in [0, {evaluation.window}), within a window"
        )
    fractions = {"train.average_decay": train.average_decay, "batch_norm.momentum": config.batch_norm.momentum}
    for field, value in fractions.items():
        if not 0 <= value < 1:
            raise InvalidValue(f"{field} is {value}, and must lie in [0, 1)")
    allowed = {
        "evaluation.checkpoint": (evaluation.checkpoint, ("best", "last")),
        "evaluation.average": (evaluation.average, AVERAGES),
        "evaluation.protocol": (evaluation.protocol, tuple(protocols)),
        "batch_norm.scope": (config.batch_norm.scope, ("synchronized", "device")),
        "batch_norm.per": (config.batch_norm.per, ("filter", "location")),
        "initialize.head": (config.initialize.head, ("keep", "new")),
        "initialize.stem": (config.initialize.stem, ("keep", "adapt", "new")),
        "cpu.kernels": (config.cpu.kernels, kernels.CHOICES),
    }
    for field, (value, values) in allowed.items():
        if value not in values:
            raise InvalidValue(f"{field} is {value!r}, and must be one of {', '.join(values)}")
    mean, deviation = config.normalization.mean, config.normalization.std
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in (*mean, *deviation)):
        raise InvalidValue(f"normalization takes finite numbers, and was given {tuple(mean)} and {tuple(deviation)}")
    if mean and (len(mean) != len(deviation) or min(deviation, default=1) <= 0):
        raise InvalidValue("normalization needs a mean and a positive std for each channel")
    compose(config.augmentation)
    named = {"initialize.layers": config.initialize.layers, "initialize.allow": config.initialize.allow}
    for field, patterns in (named | {"freeze.layers": config.freeze.layers}).items():
        if not all(isinstance(pattern, str) for pattern in patterns):
            raise InvalidValue(
                f"{field} is {tuple(patterns)!r}, and takes patterns of names, such as ('conv1', 'stage2*')"
            )
