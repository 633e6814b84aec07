"""Several augmentations as one function of a batch, and the keys that they are drawn from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from convnets.augment.mixing import mixtures
from convnets.augment.registry import Example, augmentations
from convnets.errors import InvalidValue, nearest

STREAM = 1
"""What sets the draws of augmentation apart from all others of the same seed."""

PROBABILITY = "probability"
OF_THE_DATA = "pca_colour"
TOSS = 2**32 - 1
"""What sets the toss of a link apart from the draws of its augmentation, whose counters begin at 0."""

Link = tuple[str, Mapping[str, Any]]
"""The name of an augmentation or of a mixture, and its options."""


def compose(chain: Sequence[Link]) -> Callable[[Array, Example], Example]:
    """One function of (keys, batch) that applies a chain such as `(("pad_and_crop", {"padding": 2}), ("flip", {}))`.

    It takes keys `[N]` and a batch of N examples, each array with a leading axis. Every link draws for each example by
    itself. Any link may have a `probability`: an example is changed by it, or left as it is. A mixture mixes each
    example with its neighbour, the second of a pair for the first and the first for the second; as long as devices hold
    an even number of examples, pairs are the same for any number of devices.

    Raises:
      InvalidValue: something else than pairs, an unknown augmentation, or an option that it does not have.
    """
    links = [_link(link) for link in chain]

    def augment(keys: Array, batch: Example) -> Example:
        for position, link in enumerate(links):
            batch = link(jax.vmap(jax.random.fold_in, (0, None))(keys, position), batch)
        return batch

    return augment


def check_pair(link: Any) -> None:
    """Refuses what is not a name and options.

    Raises:
      InvalidValue: something else.
    """
    if not (isinstance(link, tuple | list) and len(link) == 2 and isinstance(link[1], Mapping)):
        raise InvalidValue(f"an augmentation is a pair such as ('flip', {{}}), and {link!r} is not")


def needs_components(chain: Sequence[Link]) -> bool:
    """Whether a link offsets colours along principal components that it does not name: those of the data are meant."""
    return any(name == OF_THE_DATA and "components" not in options for name, options in chain)


def with_components(chain: Sequence[Link], components: tuple[tuple[float, ...], ...]) -> tuple[Link, ...]:
    """The chain with the components where they are needed.

    Raises:
      InvalidValue: something else than pairs.
    """
    for link in chain:
        check_pair(link)
    return tuple(
        (name, {"components": components} | dict(options) if name == OF_THE_DATA else options)
        for name, options in chain
    )


def _link(link: Any) -> Callable[[Array, Example], Example]:
    check_pair(link)
    name, options = link[0], dict(link[1])
    if name in mixtures:
        mixtures.check_options(name, options)
        return _mixed(mixtures[name], options)
    if name not in augmentations:
        raise InvalidValue(f"unknown augmentation {name!r}: {nearest(str(name), [*augmentations, *mixtures])}")
    probability = 1.0
    if PROBABILITY not in augmentations.options(name):
        probability = options.pop(PROBABILITY, 1.0)
        if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise InvalidValue(f"the probability of {name!r} must lie in [0, 1], and is {probability!r}")
    augmentations.check_options(name, options)
    function = augmentations[name]

    def change(key: Array, example: Example) -> Example:
        return function(key, example, **options)

    def perhaps(key: Array, example: Example) -> Example:
        toss = jax.random.bernoulli(jax.random.fold_in(key, TOSS), probability)
        return jax.tree.map(lambda new, old: jnp.where(toss, new, old), change(key, example), example)

    return jax.vmap(change if probability == 1 else perhaps)


def _mixed(function: Callable[..., Example], options: Mapping[str, Any]) -> Callable[[Array, Example], Example]:
    def mix(keys: Array, batch: Example) -> Example:
        count = len(batch["image"])
        neighbour = jnp.minimum(jnp.arange(count) ^ 1, count - 1)
        partners = jax.tree.map(lambda leaf: leaf[neighbour], batch)
        return jax.vmap(lambda key, example: function(key, example, **options))(keys, batch | {"partner": partners})

    return mix


def example_keys(seed: int, epochs: Array, indices: Array) -> Array:
    """A key for each example, drawn from (seed, epoch, place in the source) and nothing else.

    So what happens to an example does not depend on the batch, device or process that it lands on.

    Args:
      epochs: int32 `[N]`.
      indices: int32 `[N]`.
    """

    def key(epoch: Array, index: Array) -> Array:
        return jax.random.fold_in(jax.random.fold_in(stream, epoch), index)

    stream = jax.random.fold_in(jax.random.key(seed), STREAM)

    return jax.vmap(key)(epochs, indices)
