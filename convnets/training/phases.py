"""Phases of training: what of a network is trained from which step on, and how fast."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.pretrained.depth import below, height
from convnets.pretrained.patterns import Path, flat, matches, matching
from convnets.training.plan import Plan


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


def phases_of(
    config: ConfigDict, plan: Plan, network: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[Phase, ...]:
    """The phases of a training in their order; the first begins at step 0.

    Raises:
      InvalidValue: a feature map or a pattern that fits nothing, a phase in which everything would be frozen, or rates
        that can't be.
    """
    freeze, optimizer = config.freeze, config.optimizer
    _check_rates(optimizer)
    maps = [name for _, name in plan.unfreezing]
    if not (any(maps) or freeze.layers or optimizer.rates or optimizer.depth_decay < 1):
        # The network need not be traced.
        return (Phase(0, frozenset(), {}),)
    image = jnp.zeros((1, *image_shape))
    paths = list(flat(jax.eval_shape(lambda: network.init(jax.random.key(0), image, train=False))["params"]))
    always = matching(paths, freeze.layers, "freeze.layers")
    factors = _factors(config, paths, height(network, image_shape))
    phases = []
    for start, name in plan.unfreezing:
        field = "freeze.schedule" if freeze.schedule else "freeze.below"
        frozen = always | _below(field, name, network, image_shape)
        if frozen == set(paths):
            raise InvalidValue(f"{field} and freeze.layers leave nothing to train from step {start} on: freeze less")
        phases.append(Phase(start, frozenset(frozen), factors))
    return tuple(phases)


def phase_at(phases: tuple[Phase, ...], step: int) -> Phase:
    """The phase in which the step after the first `step` steps is taken."""
    return next(phase for phase in reversed(phases) if phase.start <= step)


def _check_rates(optimizer: ConfigDict) -> None:
    if not 0 < optimizer.depth_decay <= 1:
        raise InvalidValue(f"optimizer.depth_decay is {optimizer.depth_decay}, and must lie in (0, 1]")
    for pair in optimizer.rates:
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise InvalidValue(f"optimizer.rates has pairs such as ('logits', 1.0), and was given {pair!r}")
        pattern, factor = pair
        if factor == 0:
            raise InvalidValue(f"optimizer.rates has the factor 0 for {pattern!r}: freeze it instead, by freeze.layers")
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < math.inf:
            raise InvalidValue(f"optimizer.rates has the factor {factor!r} for {pattern!r}, and it must be positive")


def _below(field: str, name: str, network: nn.Module, image_shape: tuple[int, int, int]) -> set[Path]:
    try:
        return below(network, image_shape, name) if name else set()
    except InvalidValue as error:
        raise InvalidValue(f"{field}: {error}") from None


def _factors(config: ConfigDict, paths: list[Path], heights: Mapping[Path, int]) -> dict[Path, float]:
    """Of the first rate that matches, times the decay with depth."""
    rates, decay = config.optimizer.rates, config.optimizer.depth_decay
    matching(paths, [pattern for pattern, _ in rates], "optimizer.rates")

    def factor(path: Path) -> float:
        rate = next((factor for pattern, factor in rates if matches(path, pattern)), 1.0)
        return float(rate * decay ** heights.get(path, 0))

    return {path: factor(path) for path in paths if factor(path) != 1}
