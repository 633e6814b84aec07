"""Mixtures of two examples and of their labels: mixup and CutMix.

A mixture is `f(key, example, *, options) -> example`, where `example["partner"]` is another example with the same
fields. The result has no partner, the mixed image, and all labels of both with their shares:

    labels [M] int32, label_shares [M] float32, which sum to 1.

An example without them counts as `labels = [label]`, `label_shares = [1]`. So in a mixture of mixtures no label is
lost: its labels are those of all the examples in it. `label` and the other fields stay the example's own.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from convnets.augment.transforms import Example, check_strength, transforms
from convnets.errors import InvalidValue

MIXTURES = ("mixup", "cutmix")
"""The transforms that take a partner."""


@transforms.register
def mixup(key: Array, example: Example, *, alpha: float = 0.2, probability: float = 1.0) -> Example:
    """`lambda * example + (1 - lambda) * partner`, of images and of labels (Zhang et al., ICLR 2018, equation 2).

    lambda ~ Beta(alpha, alpha), as in the paper: below a half the partner outweighs the example.

    Args:
      alpha: above 0; the smaller, the more often one of the two is nearly alone.
      probability: of mixing at all; otherwise lambda is 1.

    Raises:
      InvalidValue: options out of range, and an example with a mask or boxes, or without a label.
    """
    partner = _partner(example, "mixup", alpha, probability)
    share = _draw_share(key, alpha, probability)
    image = example["image"]
    mixed = image * share + partner["image"] * (1 - share)
    # Rounding may lead a last place out of the range of the two.
    return _mixed(example, partner, jnp.clip(mixed, 0, 1).astype(image.dtype), (share, 1 - share))


@transforms.register
def cutmix(key: Array, example: Example, *, alpha: float = 1.0, probability: float = 1.0) -> Example:
    """The example with a rectangle of the partner's in the same place (Yun et al., ICCV 2019, section 3.1).

    The rectangle has the image's proportions and covers 1 - lambda of its area, lambda ~ Beta(alpha, alpha); its centre
    is any pixel, and what reaches over the border is cut off. The labels' shares are those of the pixels that are seen.

    Args:
      alpha: above 0; at 1 all areas are equally likely.
      probability: of mixing at all.

    Raises:
      InvalidValue: options out of range, and an example with a mask or boxes, or without a label.
    """
    partner = _partner(example, "cutmix", alpha, probability)
    share_key, row_key, column_key = jax.random.split(key, 3)
    side = jnp.sqrt(1 - _draw_share(share_key, alpha, probability))
    image = example["image"]
    height, width, _ = image.shape
    rows, row_count = _interval(row_key, height, side)
    columns, column_count = _interval(column_key, width, side)
    inside = rows[:, None, None] & columns[None, :, None]
    pixels, pasted = height * width, row_count * column_count
    shares = ((pixels - pasted) / pixels, pasted / pixels)
    return _mixed(example, partner, jnp.where(inside, partner["image"], image), shares)


def _interval(key: Array, size: int, side: Array) -> tuple[Array, Array]:
    """Which of `size` pixels lie in an interval of `side * size` around a random one, `[size]` bool, and how many."""
    centre = jax.random.randint(key, (), 0, size)
    length = jnp.floor(side * size).astype(jnp.int32)
    start, stop = centre - length // 2, centre - length // 2 + length
    pixel = jnp.arange(size)
    return (start <= pixel) & (pixel < stop), jnp.minimum(stop, size) - jnp.maximum(start, 0)


def _draw_share(key: Array, alpha: float, probability: float) -> Array:
    """Lambda, the share of the example itself: a float32 scalar."""
    toss_key, share_key = jax.random.split(key)
    toss = jax.random.bernoulli(toss_key, probability)
    # Beta(1, 1) is uniform, and takes seconds less to compile as such.
    share = jax.random.uniform(share_key) if alpha == 1 else jax.random.beta(share_key, alpha, alpha)
    return jnp.where(toss, share, 1)


def _partner(example: Example, name: str, alpha: float, probability: float) -> Any:
    """The example's partner, once everything that the mixture `name` was given is in order."""
    if not 0 < alpha < math.inf:
        raise InvalidValue(f"alpha of {name} must be a finite number above 0, and is {alpha}")
    check_strength(f"the probability of {name}", probability, 1)
    if "partner" not in example:
        raise ValueError(f"{name} needs another example as `partner`, but was given {sorted(example)}")
    for field in ("mask", "boxes"):
        if field in example:
            raise InvalidValue(
                f"{name} mixes the labels of whole images, and these have {field}: leave it out of the augmentation"
            )
    if "label" not in example and "labels" not in example:
        raise InvalidValue(f"{name} mixes labels, and these images have none: leave it out of the augmentation")
    return example["partner"]


def _mixed(example: Example, partner: Any, image: Array, shares: tuple[Array, Array]) -> Example:
    own, others = _labels(example), _labels(partner)
    kept = {field: value for field, value in example.items() if field != "partner"}
    return kept | {
        "image": image,
        "labels": jnp.concatenate([own[0], others[0]]),
        "label_shares": jnp.concatenate([own[1] * shares[0], others[1] * shares[1]]),
    }


def _labels(example: Any) -> tuple[Array, Array]:
    if "labels" in example:
        return example["labels"], example["label_shares"]
    return jnp.asarray(example["label"], jnp.int32)[None], jnp.ones(1, jnp.float32)
