"""Networks written for one test or another, and how to look at what is traced of them."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.analysis.summary import Summary, summarize

Function = Callable[[nn.Module, Array], Array]


class Functional(nn.Module):
    """A network that is one function of itself and the images.

    Attributes:
      function: `(module, images) -> maps`; may make submodules.
    """

    function: Function

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        x = self.function(self, images)
        return x, {"pre_logits": x}


class Output(nn.Module):
    """A module of no work but to own a number, so that what passes through it has a row."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return x * self.param("scale", nn.initializers.ones, ())


class LeNet(nn.Module):
    """Written by hand, so that the counts below are those of the paper and of nobody's code."""

    @nn.compact
    def __call__(self, images: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        stem = nn.avg_pool(nn.tanh(nn.Conv(6, (5, 5), padding=0, name="conv1")(images)), (2, 2), (2, 2))
        x = nn.avg_pool(nn.tanh(nn.Conv(16, (5, 5), padding=0, name="conv2")(stem)), (2, 2), (2, 2))
        x = nn.tanh(nn.Dense(120, name="fc3")(x.reshape(len(x), -1)))
        x = nn.tanh(nn.Dense(84, name="fc4")(x))
        return nn.Dense(10, name="logits")(x), {"stem": stem, "pre_logits": x}


class Block(nn.Module):
    """Owns a parameter and a statistic itself and has children too."""

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        scale = self.param("scale", nn.initializers.ones, (7,))
        self.variable("batch_stats", "count", jnp.zeros, (2,))
        x = nn.Conv(4, (3, 3), padding=1, use_bias=False, name="convolution")(x)
        return nn.relu(nn.BatchNorm(use_running_average=not train, name="norm")(x) * scale.mean())


class Network(nn.Module):
    """Blocks, a layer that is used twice, and a bias of its own."""

    block: Any = Block

    @nn.compact
    def __call__(self, images: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        x = images
        for stage in (2, 1):
            x = self.block(name=f"stage{stage}")(x, train)
        shared = nn.Dense(4, name="shared")
        x = nn.Dropout(0.5, name="dropout")(shared(shared(x)[:, ::2]), deterministic=not train)
        x = x + self.param("bias", nn.initializers.zeros, (4,))
        return x.mean((1, 2)), {"pre_logits": x}


def with_output(function: Function) -> Functional:
    """A network whose last row, `output`, is what the function gives."""
    return Functional(lambda module, x: Output(name="output", parent=module)(function(module, x)))


def convolution(
    module: nn.Module,
    x: Array,
    size: tuple[int, int] | int,
    stride: tuple[int, int] | int = 1,
    padding: Any = 0,
    dilation: int = 1,
    groups: int = 1,
    features: int = 2,
    name: str | None = None,
) -> Array:
    """Flax's own convolution, which shares no code with the library's."""
    size, stride = (n if isinstance(n, tuple) else (n, n) for n in (size, stride))
    padding = [(padding, padding)] * 2 if isinstance(padding, int) else padding
    layer = nn.Conv(
        features,
        size,
        stride,
        padding,
        kernel_dilation=dilation,
        feature_group_count=groups,
        kernel_init=nn.initializers.uniform(1.0),
        name=name,
        parent=module,
    )
    return layer(x)


def field(function: Function, image_shape: tuple[int, int, int] = (64, 48, 2), batch: int = 2) -> Any:
    """(receptive field, stride, offset) of what the function gives, each (vertical, horizontal), or None."""
    row = by_path(summarize(with_output(function), image_shape, batch))["output"]
    return None if row.receptive_field is None else (row.receptive_field, row.stride, row.offset)


def square(size: int, stride: int, offset: int) -> Any:
    """What `field` gives of fields that are the same in both directions."""
    return (size, size), (stride, stride), (offset, offset)


def by_path(summary: Summary) -> dict[str, Any]:
    """The rows by their paths, the last if there are several."""
    return {row.path: row for row in summary}


def seen_by_gradient(
    network: nn.Module, image_shape: tuple[int, int, int], seed: int, positions: Any, largest: float = 1.0
) -> list[Any]:
    """The pixels that change a response of a network, where its gradient isn't zero: ((top, bottom), (left, right)).

    Weights and pixels are positive numbers of 64 bits, so that no path from a pixel to the response cancels another,
    dies in a ReLU or is lost.

    Args:
      positions: row and column of each response.
      largest: of the weights.
    """
    random = np.random.default_rng(seed)
    with jax.enable_x64(True):
        images = random.uniform(0.5, 1.0, (1, *image_shape))
        shapes = jax.eval_shape(network.init, jax.random.key(0), images)
        variables = jax.tree.map(lambda leaf: random.uniform(0.1 * largest, largest, leaf.shape), shapes)

        def response(images: Array, row: int, column: int) -> Array:
            return network.apply(variables, images)[0][0, row, column].sum()

        # Compiled in half the time to slower code.
        gradient = jax.jit(jax.grad(response), compiler_options={"xla_backend_optimization_level": 0})
        seen = [np.abs(gradient(images, *position)[0]).sum(-1) > 0 for position in positions]
    return [
        tuple((int(one.argmax()), len(one) - 1 - int(one[::-1].argmax())) for one in (s.any(1), s.any(0))) for s in seen
    ]
