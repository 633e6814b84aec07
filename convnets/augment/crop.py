"""Crops and mirror images: pixels are moved, never mixed (lecture: "Types of data augmentation: Horizontal Flip")."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

from convnets.augment.boxes import clipped
from convnets.augment.transforms import Example, changed, check_strength, transforms
from convnets.data.label_map import IGNORED
from convnets.errors import InvalidValue


def crop_at(example: Example, top: Array, left: Array, height: int, width: int) -> Example:
    """The `height` x `width` part of the example whose upper left pixel is (top, left), int32 scalars.

    `image [H, W, C]` and `mask [H, W]` are cut; `boxes [K, 4]` are moved and clipped to the part, and a box of which
    nothing is left becomes (0, 0, 0, 0).
    """

    def cut(array: Array) -> Array:
        rest = array.shape[2:]
        return lax.dynamic_slice(array, (top, left, *(0 for _ in rest)), (height, width, *rest))

    def moved(boxes: Array) -> Array:
        return clipped((boxes - jnp.stack([top, left, top, left])).astype(boxes.dtype), height, width)

    return changed(example, image=cut, mask=cut, boxes=moved)


def check_size(size: int | Sequence[int]) -> tuple[int, int]:
    """The `size` option of a crop as (rows, columns): a whole number stands for a square.

    Raises:
      InvalidValue: anything else than one or two whole numbers, or a negative one.
    """
    pair = tuple(size) if isinstance(size, list | tuple) else (size, size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in pair)
    if not (len(pair) == 2 and whole and min(pair) >= 0):
        raise InvalidValue(
            f"the size of a crop is (rows, columns) or one number for a square, with 0 for the default, and is {size!r}"
        )
    return pair


@transforms.register
def random_crop(key: Array, example: Example, *, size: int | Sequence[int] = (0, 0), share: float = 7 / 8) -> Example:
    """A part of the image at a random place, each place as likely (Krizhevsky et al. 2012, section 4.1).

    Args:
      size: (rows, columns) of the part, or one number for a square; 0 stands for `share` of that side.
      share: how much of a side the part has where `size` is 0, rounded to whole pixels; as in AlexNet's 224 of 256.

    Raises:
      InvalidValue: a part that is larger than the image, or a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InvalidValue(f"the share of a crop must lie in (0, 1], and is {share}")
    sides = example["image"].shape[:2]
    rows, columns = (given or max(1, round(share * own)) for given, own in zip(check_size(size), sides, strict=True))
    if rows > sides[0] or columns > sides[1]:
        raise InvalidValue(f"a crop of {rows} x {columns} pixels does not fit into an image of {sides[0]} x {sides[1]}")
    places = jnp.array([sides[0] - rows + 1, sides[1] - columns + 1])
    top, left = jax.random.randint(key, (2,), 0, places)
    return crop_at(example, top, left, rows, columns)


@transforms.register
def pad_and_crop(key: Array, example: Example, *, padding: int = 4) -> Example:
    """Zeros around the image, then a random part of the image's own size (He et al. 2016, section 4.2, on CIFAR-10).

    Args:
      padding: pixels added on each side; padded pixels of a mask are ignored.

    Raises:
      InvalidValue: a negative padding.
    """
    if padding < 0:
        raise InvalidValue(f"the padding before a crop must not be negative, and is {padding}")
    height, width, _ = example["image"].shape
    around = ((padding, padding), (padding, padding))
    padded = changed(
        example,
        image=lambda image: jnp.pad(image, (*around, (0, 0))),
        mask=lambda mask: jnp.pad(mask, around, constant_values=IGNORED),
        boxes=lambda boxes: boxes + padding,
    )
    top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    return crop_at(padded, top, left, height, width)


def mirror(example: Example) -> Example:
    """The example as seen in a mirror: `image [H, W, C]`, and `mask [H, W]` and `boxes [K, 4]` where it has them.

    An empty box stays (0, 0, 0, 0).
    """
    height, width, _ = example["image"].shape

    def mirrored(array: Array) -> Array:
        return array[:, ::-1]

    def moved(boxes: Array) -> Array:
        y0, x0, y1, x1 = jnp.moveaxis(boxes, -1, 0)
        return clipped(jnp.stack([y0, width - x1, y1, width - x0], axis=-1), height, width)

    return changed(example, image=mirrored, mask=mirrored, boxes=moved)


@transforms.register
def flip(key: Array, example: Example, *, probability: float = 0.5) -> Example:
    """Mirrors the example with the given probability.

    Raises:
      InvalidValue: a probability outside [0, 1].
    """
    check_strength("the probability of a flip", probability, 1)
    toss = jax.random.bernoulli(key, probability)
    return jax.tree.map(lambda yes, no: jnp.where(toss, yes, no), mirror(example), example)
