"""Several augmentations as one, and the keys that they are drawn from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax import Array

from convnets.augmentation.registry import Example, augmentations
from convnets.errors import InvalidValue

STREAM = 1
"""What sets the draws of augmentation apart from all others of the same seed."""


def compose(chain: Sequence[tuple[str, Mapping[str, Any]]]) -> Callable[[Array, Example], Example]:
    """One function of (key, example) that applies a chain such as `(("pad_and_crop", {"padding": 2}), ("flip", {}))`.

    Raises:
      InvalidValue: something else than pairs, an unknown augmentation, or an option that it does not have.
    """
    links = []
    for link in chain:
        if not (isinstance(link, tuple | list) and len(link) == 2 and isinstance(link[1], Mapping)):
            raise InvalidValue(f"an augmentation is a pair such as ('flip', {{}}), and {link!r} is not")
        name, options = link
        augmentations.check_options(name, dict(options))
        links.append((augmentations[name], dict(options)))

    def augment(key: Array, example: Example) -> Example:
        for position, (function, options) in enumerate(links):
            example = function(jax.random.fold_in(key, position), example, **options)
        return example

    return augment


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
