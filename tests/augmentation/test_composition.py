"""Chains of augmentations, and the keys that they are drawn from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.augmentation import augmentations, compose, example_keys
from convnets.errors import InvalidValue


@pytest.fixture
def simple(monkeypatch):
    """Three augmentations whose effect can be told from a number."""

    def twice(key, example):
        return example | {"image": 2 * example["image"]}

    def plus(key, example, *, amount=1.0):
        return example | {"image": example["image"] + amount}

    def draw(key, example):
        return example | {"drawn": jnp.append(example["drawn"], jax.random.uniform(key))}

    for function in (twice, plus, draw):
        monkeypatch.setitem(augmentations._choices, function.__name__, function)


def test_a_chain_is_applied_from_the_first_to_the_last(simple):
    example, key = {"image": jnp.full((2, 2, 1), 5.0)}, jax.random.key(0)
    assert float(compose((("twice", {}), ("plus", {})))(key, example)["image"][0, 0, 0]) == 11
    assert float(compose((("plus", {}), ("twice", {})))(key, example)["image"][0, 0, 0]) == 12


def test_options_reach_the_augmentation_that_they_are_given_to(simple):
    example = {"image": jnp.zeros((1, 1, 1))}
    chain = compose((("plus", {"amount": 0.5}), ("plus", {}), ("plus", {"amount": 10})))
    assert float(chain(jax.random.key(0), example)["image"][0, 0, 0]) == 11.5


def test_each_link_draws_for_itself(simple):
    chain = compose((("draw", {}), ("draw", {}), ("draw", {})))
    first = chain(jax.random.key(0), {"drawn": jnp.zeros(0)})["drawn"]
    other = chain(jax.random.key(1), {"drawn": jnp.zeros(0)})["drawn"]
    assert len({*map(float, first), *map(float, other)}) == 6
    np.testing.assert_array_equal(chain(jax.random.key(0), {"drawn": jnp.zeros(0)})["drawn"], first)


def test_no_augmentation_is_the_identity():
    example = {"image": jnp.ones((2, 2, 1))}
    assert compose(())(jax.random.key(0), example) is example


@pytest.mark.parametrize(
    ("chain", "sentence"),
    [
        ((("flipp", {}),), "unknown augmentation 'flipp': did you mean 'flip'"),
        ((("flip", {}), ("pad_and_crop", {"pading": 2})), "no option 'pading': did you mean 'padding'"),
    ],
)
def test_what_does_not_exist_is_refused_before_any_example(chain, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        compose(chain)


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
