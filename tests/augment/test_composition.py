"""The form of every transform, chains of them, and the keys that they are drawn from."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_examples import under_keys

from convnets import augment
from convnets.augment import (
    Transform,
    compose,
    composition,
    example_keys,
    needs_components,
    transforms,
    with_components,
)
from convnets.augment.mixing import MIXTURES
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


every_augmentation = pytest.mark.parametrize("name", [name for name in augment.list() if name not in MIXTURES])


def example(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "image": random.uniform(size=(12, 10, 3)).astype(np.float32),
        "mask": random.integers(0, 5, (12, 10)).astype(np.int32),
        "boxes": np.array([[1, 2, 7, 8], [0, 0, 12, 10]], np.float32),
        "label": np.int32(3),
        "index": np.int32(17),
    }


def same(a: Any, b: Any) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("name", augment.list())
def test_it_is_a_function_of_key_and_example_with_options_by_keyword_that_have_defaults(name):
    assert getattr(augment, name) is transforms[name] and name in augment.__all__
    key, given, *options = inspect.signature(transforms[name]).parameters.values()
    assert (key.name, given.name) == ("key", "example")
    assert all(option.kind is option.KEYWORD_ONLY for option in options)
    assert all(option.default is not option.empty for option in options)


@every_augmentation
def test_it_leaves_its_argument_and_the_fields_that_are_no_picture_alone(name):
    given = example()
    fields, before = dict(given), jax.tree.map(np.copy, given)
    # Compiled as a whole, which is quicker than each of its operations; `given` itself is what the function gets.
    result = jax.jit(lambda key: transforms[name](key, given))(jax.random.key(0))
    assert same(given, before)
    assert list(given) == list(fields) and all(given[field] is fields[field] for field in fields)
    assert set(result) == set(given)
    assert (result["label"], result["index"]) == (3, 17)
    assert {field: value.dtype for field, value in result.items()} == {f: v.dtype for f, v in given.items()}


@every_augmentation
def test_it_takes_an_image_without_mask_and_boxes(name):
    given = example()
    function = jax.jit(transforms[name])
    result = function(jax.random.key(0), {"image": given["image"]})
    assert set(result) == {"image"}
    np.testing.assert_array_equal(result["image"], function(jax.random.key(0), given)["image"])


def alike(a: Any, b: Any) -> bool:
    """The same but for rounding, which depends on how a function is compiled."""
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.allclose(x, y, atol=2e-5) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@every_augmentation
def test_it_is_a_function_of_the_key_alone_under_jit_and_vmap_too(name):
    keys = jax.random.split(jax.random.key(1), 16)
    examples = [example(seed) for seed in range(16)]
    function = jax.jit(transforms[name])
    one_by_one = [function(key, given) for key, given in zip(keys, examples, strict=True)]
    assert same(one_by_one[0], function(keys[0], examples[0]))
    assert alike(one_by_one[0], transforms[name](keys[0], examples[0]))

    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *examples)
    together = jax.jit(jax.vmap(transforms[name]))(keys, batch)
    assert alike(together, jax.tree.map(lambda *leaves: np.stack(leaves), *one_by_one))


@every_augmentation
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_images_of_a_batch_do_not_share_one_toss_and_keep_their_type_and_range(name, dtype):
    """The same example under 32 keys does not come out the same 32 times."""
    images = under_keys(transforms[name], {"image": jnp.asarray(example()["image"], dtype)}, 32)["image"]
    assert len({image.tobytes() for image in images}) > 1
    assert images.dtype == dtype and images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("name", ["colour_jitter", "pca_colour", "random_erasing", *MIXTURES])
def test_one_key_gives_one_result_to_the_bit_alone_and_in_a_batch(name):
    given = {"image": example()["image"], "label": np.int32(3)}
    if name in MIXTURES:
        given["partner"] = {"image": example(1)["image"], "label": np.int32(4)}
    together, one = under_keys(transforms[name], given, 100), jax.jit(transforms[name])
    for seed in (0, 5):
        for field, value in one(jax.random.key(seed), given).items():
            np.testing.assert_array_equal(value, together[field][seed])
