"""The power of small filters: what a stack of convolutions costs against another that does the same (lecture).

`SMALL_FILTERS` sets one layer of large filters against several of 3x3 that see the same region. `BOTTLENECK` sets two
layers of 3x3 against 1x1 - 3x3 - 1x1, which works at a reduced depth. All keep the map's size and, at the end, its
depth D: stride 1, zero padding, weights without biases, each layer followed by ReLU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from convnets.analysis.summary import summarize, total
from convnets.analysis.timing import Timing, alternate
from convnets.analysis.trace import trace_inference
from convnets.errors import InvalidValue
from convnets.layers import ConvolutionNormReLU


@dataclass(frozen=True)
class Option:
    """A stack of convolutions.

    Attributes:
      name: as it is printed.
      filters: of each layer, their size and the part of D that says how many they are: `(3, 2)` is D/2 filters of 3x3.
      formula: the weights by hand, divided by D²; the lecture's for 7x7 and 3x3.
    """

    name: str
    filters: tuple[tuple[int, int], ...]
    formula: Fraction

    def network(self, depth: int) -> "Stack":
        """The stack of that depth D."""
        return Stack(tuple((size, depth // part) for size, part in self.filters))


ONE_7X7 = Option("one 7×7", ((7, 1),), Fraction(49))
THREE_3X3 = Option("three 3×3", ((3, 1),) * 3, Fraction(27))
ONE_5X5 = Option("one 5×5", ((5, 1),), Fraction(25))
TWO_3X3 = Option("two 3×3", ((3, 1),) * 2, Fraction(18))
BOTTLENECK_2 = Option("1×1, 3×3, 1×1 at D/2", ((1, 2), (3, 2), (1, 1)), Fraction(13, 4))
BOTTLENECK_4 = Option("1×1, 3×3, 1×1 at D/4", ((1, 4), (3, 4), (1, 1)), Fraction(17, 16))

SMALL_FILTERS = {
    "One 7×7 against three 3×3": (ONE_7X7, THREE_3X3),
    "One 5×5 against two 3×3": (ONE_5X5, TWO_3X3),
}
BOTTLENECK = {"Two 3×3 against a bottleneck": (TWO_3X3, BOTTLENECK_2, BOTTLENECK_4)}
"""Comparisons by their titles; each begins with what the others are held against."""


class Stack(nn.Module):
    """Convolutions one after the other, each followed by ReLU.

    Attributes:
      layers: size and number of the filters of each.
    """

    layers: tuple[tuple[int, int], ...]

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """`[N, H, W, C] -> [N, H, W, filters of the last layer]`."""
        for number, (size, features) in enumerate(self.layers, 1):
            layer = ConvolutionNormReLU(features, size, padding=size // 2, use_bias=False, name=f"layer{number}")
            x = layer(x, train)
        return x


@dataclass(frozen=True)
class Cost:
    """What a stack costs, counted from its module.

    Attributes:
      layers: with parameters.
      receptive_field: side of the region that a response of the last layer sees, in pixels.
      parameters: weights.
      multiply_adds: of the forward pass of one map.
      nonlinearities: layers of ReLU.
      activation_bytes: of the responses of one map, float32.
      formula_parameters, formula_multiply_adds: the same by hand.
      forward: seconds of a forward pass of the batch; None if they were not measured.
      training: seconds of a forward pass and the gradient by the weights and the maps.
    """

    option: Option
    layers: int
    receptive_field: int
    parameters: int
    multiply_adds: int
    nonlinearities: int
    activation_bytes: int
    formula_parameters: int
    formula_multiply_adds: int
    forward: Timing | None = None
    training: Timing | None = None


def compare(options: Sequence[Option], *, depth: int, size: int, batch: int, seconds: float) -> list[Cost]:
    """The cost of each option on maps of `size` x `size` x `depth`.

    Args:
      batch: how many maps are computed at once while measuring.
      seconds: about how long to measure all options, compilation not counted; 0 measures nothing.

    Raises:
      InvalidValue: a depth that an option can't divide, or a number that isn't positive.
    """
    for name, number in {"depth": depth, "size": size, "batch": batch}.items():
        if number < 1:
            raise InvalidValue(f"the {name} is {number}, and must be positive")
    for part in {part for option in options for _, part in option.filters}:
        if depth % part:
            raise InvalidValue(f"the depth is {depth}, and a bottleneck of D/{part} needs a multiple of {part}")
    forward, training = _measure(options, depth, size, batch, seconds) if seconds > 0 else ({}, {})
    costs = []
    for option in options:
        network = option.network(depth)
        rows = summarize(network, (size, size, depth))
        whole, field = total(rows), rows[-1].receptive_field
        assert field is not None
        trace, _ = trace_inference(network, jax.ShapeDtypeStruct((1, size, size, depth), jnp.float32))
        by_hand = option.formula * depth**2
        costs.append(
            Cost(
                option,
                layers=sum(row.parameters > 0 for row in rows),
                receptive_field=field[0],
                parameters=whole.parameters,
                multiply_adds=whole.multiply_adds,
                # ReLU is the maximum of each response and zero.
                nonlinearities=sum(operation.name == "max" for operation in trace.operations),
                activation_bytes=whole.activation_bytes,
                formula_parameters=int(by_hand),
                formula_multiply_adds=int(by_hand * size**2),
                forward=forward.get(option.name),
                training=training.get(option.name),
            )
        )
    return costs


def _measure(
    options: Sequence[Option], depth: int, size: int, batch: int, seconds: float
) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Times of forward passes and of gradients, by the options' names."""
    maps = jax.random.normal(jax.random.key(1), (batch, size, size, depth))
    forward, training = {}, {}
    for option in options:
        network = option.network(depth)
        variables = jax.jit(network.init)(jax.random.key(0), maps)

        def energy(variables: Any, maps: Array, network: nn.Module = network) -> Array:
            responses: Any = network.apply(variables, maps)
            return jnp.mean(jnp.square(responses))

        forward[option.name] = partial(jax.jit(network.apply), variables, maps)
        training[option.name] = partial(jax.jit(jax.value_and_grad(energy, argnums=(0, 1))), variables, maps)
    return alternate(forward, seconds=seconds / 4), alternate(training, seconds=seconds * 3 / 4)
