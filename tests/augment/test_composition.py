"""Chains of augmentations, and the keys that they are drawn from."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.augment import (
    Transform,
    compose,
    composition,
    example_keys,
    needs_components,
    transforms,
    with_components,
)
from convnets.errors import InvalidValue


@pytest.fixture
def simple(monkeypatch):
    """Three augmentations and a mixture whose effect can be told from a number."""

    def twice(key, example):
        return example | {"image": 2 * example["image"]}

    def plus(key, example, *, amount=1.0):
        return example | {"image": example["image"] + amount}

    def draw(key, example):
        return example | {"image": example["image"] + jax.random.uniform(key)}

    def swap(key, example):
        return example["partner"]

    for function in (twice, plus, draw, swap):
        monkeypatch.setitem(transforms._choices, function.__name__, function)
    monkeypatch.setattr(composition, "MIXTURES", ("swap",))


def changed(chain: tuple[Transform, ...], numbers: list[float], seed: int = 0) -> list[float]:
    """What a chain makes of images that are one number."""
    batch = {"image": jnp.array(numbers).reshape(-1, 1, 1, 1)}
    keys = jax.random.split(jax.random.key(seed), len(numbers))
    return np.asarray(compose(chain)(keys, batch)["image"]).ravel().tolist()


def test_a_chain_is_applied_from_the_first_to_the_last(simple):
    assert changed((("twice", {}), ("plus", {})), [5, 6]) == [11, 13]
    assert changed((("plus", {}), ("twice", {})), [5, 6]) == [12, 14]


def test_options_reach_the_augmentation_that_they_are_given_to(simple):
    assert changed((("plus", {"amount": 0.5}), ("plus", {}), ("plus", {"amount": 10})), [0]) == [11.5]


def test_each_transform_and_each_example_draws_for_itself(simple):
    draws = [changed((("draw", {}),) * times, [0, 0], seed) for times in (1, 2, 3) for seed in (0, 1)]
    assert len({number for pair in draws for number in pair}) == 12
    assert changed((("draw", {}),) * 3, [0, 0], 1) == draws[-1]


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_any_transform_may_have_a_probability(simple, probability):
    found = changed((("plus", {"probability": probability}),), [0.0] * 2000)
    assert set(found) <= {0.0, 1.0}
    assert np.mean(found) == pytest.approx(probability, abs=4 * np.sqrt(probability * (1 - probability) / 2000))


def test_the_toss_is_not_what_the_augmentation_draws(simple):
    """Those that pass a toss of one half still draw from the whole of [0, 1)."""
    found = np.array(changed((("draw", {"probability": 0.5}),), [0.0] * 2000))
    drawn = found[found > 0]
    assert np.histogram(drawn, 4, (0, 1))[0].min() > 0.2 * len(drawn)


def test_neighbours_are_mixed_with_each_other(simple):
    assert changed((("swap", {}),), [0, 1, 2, 3]) == [1, 0, 3, 2]
    assert changed((("swap", {}),), [0, 1, 2]) == [1, 0, 2]
    assert changed((("plus", {}), ("swap", {}), ("twice", {})), [0, 1]) == [4, 2]


def test_no_augmentation_is_the_identity():
    batch = {"image": jnp.ones((1, 2, 2, 1))}
    assert compose(())(jax.random.split(jax.random.key(0), 1), batch) is batch


@pytest.mark.parametrize(
    ("chain", "sentence"),
    [
        ((("flipp", {}),), "unknown augmentation 'flipp': did you mean 'flip'"),
        ((("mixupp", {}),), "unknown augmentation 'mixupp': did you mean 'mixup'"),
        ((("flip", {}), ("pad_and_crop", {"pading": 2})), "no option 'pading': did you mean 'padding'"),
        ((("pad_and_crop", {"probability": 2.0}),), r"must lie in \[0, 1\], and is 2.0"),
        ((("pad_and_crop", {"probability": "often"}),), r"must lie in \[0, 1\], and is 'often'"),
        ((("mixup", {"alpa": 0.2}),), "no option 'alpa': did you mean 'alpha'"),
        (("flip",), "is a pair such as"),
        (((3, {}),), "is a pair such as"),
    ],
)
def test_what_does_not_exist_is_refused_before_any_example(chain: Any, sentence: str):
    with pytest.raises(InvalidValue, match=sentence):
        compose(chain)


def test_components_are_filled_in_where_they_are_missing():
    ours, theirs = ((1.0,),), ((2.0,),)
    chain = (("flip", {}), ("pca_colour", {"deviation": 0.2}), ("pca_colour", {"components": theirs}))
    assert needs_components(chain) and not needs_components(chain[:1]) and not needs_components(chain[2:])
    filled = with_components(chain, ours)
    assert filled[0] == chain[0] and filled[2] == chain[2]
    assert filled[1] == ("pca_colour", {"deviation": 0.2, "components": ours})
    assert not needs_components(filled)


@jax.jit
def key_bits(seed: int, epochs: jax.Array, indices: jax.Array) -> jax.Array:
    return jax.random.key_data(example_keys(seed, epochs, indices))


def bits(seed: int, epochs: list[int], indices: list[int]) -> list[tuple[int, ...]]:
    keys = key_bits(seed, np.array(epochs, np.int32), np.array(indices, np.int32))
    assert len(keys) == len(epochs)
    return [tuple(map(int, key)) for key in np.asarray(keys)]


def test_a_key_depends_on_seed_epoch_and_place_and_on_no_neighbour():
    epochs, indices = [0, 0, 1, 1, 7], [3, 59_999, 3, 0, 3]
    together = bits(5, epochs, indices)
    assert bits(5, epochs[::-1], indices[::-1]) == together[::-1]
    for epoch, index, key in zip(epochs, indices, together, strict=True):
        assert bits(5, [epoch], [index]) == [key]


def test_no_two_keys_are_alike():
    """(epoch 1, place 2) and (2, 1) and the same of another seed included."""
    epochs, indices = (grid.ravel().tolist() for grid in np.meshgrid(range(6), range(40)))
    keys = [key for seed in (0, 1, 2) for key in bits(seed, epochs, indices)]
    assert len(set(keys)) == len(keys) == 3 * 6 * 40


def test_keys_are_the_same_without_jit():
    keys = jax.random.key_data(example_keys(4, jnp.array([2, 9]), jnp.array([1, 0])))
    assert [tuple(map(int, key)) for key in np.asarray(keys)] == bits(4, [2, 9], [1, 0])
