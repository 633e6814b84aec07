"""Mirrored images, with their masks and boxes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.augment import transforms
from convnets.augment.crop import flip, mirror
from convnets.errors import InvalidValue


def painted(boxes: list[tuple[int, int, int, int]], height: int = 9, width: int = 14) -> dict[str, np.ndarray]:
    """Box k is drawn as a rectangle of k + 1 into image and mask; boxes do not overlap."""
    mask = np.zeros((height, width), np.int32)
    for number, (y0, x0, y1, x1) in enumerate(boxes, 1):
        mask[y0:y1, x0:x1] = number
    image = np.stack([mask, 100 + mask], -1).astype(np.float32)
    return {"image": image, "mask": mask, "boxes": np.array(boxes, np.float32)}


def surrounding(mask: np.ndarray, number: int) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask == number)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def test_image_mask_and_boxes_are_mirrored_together():
    given = painted([(1, 2, 4, 5), (5, 7, 9, 14)])
    mirrored = mirror(jax.tree.map(jnp.asarray, given))
    np.testing.assert_array_equal(mirrored["image"], np.flip(given["image"], axis=1))
    np.testing.assert_array_equal(mirrored["mask"], np.fliplr(given["mask"]))
    for number, box in enumerate(np.asarray(mirrored["boxes"]), 1):
        assert tuple(box) == surrounding(np.asarray(mirrored["mask"]), number)
    np.testing.assert_array_equal(mirrored["boxes"], [[1, 9, 4, 12], [5, 0, 9, 7]])


def test_twice_mirrored_is_as_it_was():
    given = jax.tree.map(jnp.asarray, painted([(1, 2, 4, 5)]))
    twice = mirror(mirror(given))
    for field, value in given.items():
        np.testing.assert_array_equal(twice[field], value)


@functools.partial(jax.jit, static_argnums=0)
def flips(probability: float) -> dict[str, jax.Array]:
    """4,000 copies of one example, each with a key of its own."""
    given = painted([(1, 2, 4, 5)])
    return jax.vmap(lambda seed: flip(jax.random.key(seed), given, probability=probability))(jnp.arange(4000))


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1.0])
def test_so_many_are_mirrored_and_never_in_part(probability):
    given = painted([(1, 2, 4, 5)])
    results = jax.tree.map(np.asarray, flips(probability))
    flipped = (results["image"] == np.flip(given["image"], 1)).all((1, 2, 3))
    kept = (results["image"] == given["image"]).all((1, 2, 3))
    assert np.all(flipped ^ kept)
    np.testing.assert_array_equal((results["mask"] == np.fliplr(given["mask"])).all((1, 2)), flipped)
    np.testing.assert_array_equal((results["boxes"] == [[1, 9, 4, 12]]).all((1, 2)), flipped)
    # Four deviations of the binomial distribution.
    assert abs(flipped.mean() - probability) <= 4 * np.sqrt(probability * (1 - probability) / 4000)


def test_by_default_it_is_an_even_toss():
    assert transforms.options("flip") == {"probability": 0.5}


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(probability):
    with pytest.raises(InvalidValue, match="the probability of a flip must lie in"):
        flip(jax.random.key(0), painted([(1, 2, 4, 5)]), probability=probability)
