"""Several augmentations as one function of a batch, and the keys that they are drawn from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from convnets.augment.mixing import MIXTURES
from convnets.augment.transforms import Example, check_strength, transforms
from convnets.errors import InvalidValue

STREAM = 1
"""What sets the draws of augmentation apart from all others of the same seed."""

PROBABILITY = "probability"
OF_THE_DATA = "pca_colour"
TOSS = 2**32 - 1
"""What sets the toss of a transform apart from its own draws, whose counters begin at 0."""

Transform = tuple[str, Mapping[str, Any]]
"""The name of a transform, and its options."""


def compose(chain: Sequence[Transform]) -> Callable[[Array, Example], Example]:
    """One function of (keys, batch) that applies a chain such as `(("pad_and_crop", {"padding": 2}), ("flip", {}))`.

    It takes keys `[N]` and a batch of N examples, each array with a leading axis. Every transform draws for each
    example by itself. Any may have a `probability`: an example is changed by it, or left as it is. Mixup and CutMix
    take an example's neighbour for its partner, the second of a pair for the first and the first for the second; as
    long as devices hold an even number of examples, pairs are the same for any number of devices.

    Raises:
      InvalidValue: something else than pairs, an unknown augmentation, or an option that it does not have.
    """
    _check_pairs(chain)
    functions = [_function(name, dict(options)) for name, options in chain]

    def augment(keys: Array, batch: Example) -> Example:
        for position, function in enumerate(functions):
            batch = function(jax.vmap(jax.random.fold_in, (0, None))(keys, position), batch)
        return batch

    return augment


def needs_components(chain: Sequence[Transform]) -> bool:
    """Whether a transform needs the principal components of the data, as its options name none."""
    return any(name == OF_THE_DATA and "components" not in options for name, options in chain)


def with_components(chain: Sequence[Transform], components: tuple[tuple[float, ...], ...]) -> tuple[Transform, ...]:
    """The chain with the components where they are needed; refuses what is no chain as `compose` does."""
    _check_pairs(chain)
    return tuple(
        (name, {"components": components} | dict(options) if name == OF_THE_DATA else options)
        for name, options in chain
    )


def _check_pairs(chain: Sequence[Any]) -> None:
    for transform in chain:
        match transform:
            case [str(), Mapping()]:
                pass
            case _:
                raise InvalidValue(f"an augmentation is a pair such as ('flip', {{}}), and {transform!r} is not")


def _function(name: str, options: dict[str, Any]) -> Callable[[Array, Example], Example]:
    """The transform with its options, of keys `[N]` and a batch."""
    probability = 1.0
    if PROBABILITY not in transforms.options(name):
        probability = options.pop(PROBABILITY, 1.0)
        check_strength(f"the probability of {name!r}", probability, 1)
    transforms.check_options(name, options)

    def change(key: Array, example: Example) -> Example:
        return transforms[name](key, example, **options)

    def perhaps(key: Array, example: Example) -> Example:
        toss = jax.random.bernoulli(jax.random.fold_in(key, TOSS), probability)
        return jax.tree.map(lambda new, old: jnp.where(toss, new, old), change(key, example), example)

    def mix(keys: Array, batch: Example) -> Example:
        count = len(batch["image"])
        neighbour = jnp.minimum(jnp.arange(count) ^ 1, count - 1)
        partners = jax.tree.map(lambda leaf: leaf[neighbour], batch)
        return jax.vmap(change)(keys, batch | {"partner": partners})

    if name in MIXTURES:
        return mix
    return jax.vmap(change if probability == 1 else perhaps)


def example_keys(seed: int, epochs: Array, indices: Array) -> Array:
    """A key for each example, drawn from (seed, epoch, place in the source) and nothing else.

    So what happens to an example does not depend on the batch, device or process that it lands on.

    Args:
      epochs: int32 `[N]`.
      indices: int32 `[N]`.
    """
    stream = jax.random.fold_in(jax.random.key(seed), STREAM)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(stream, epochs)
    return jax.vmap(jax.random.fold_in)(keys, indices)
