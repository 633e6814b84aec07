"""The form that every registered augmentation has, so that a new one can't drift from it."""

import inspect
from typing import Any

import jax
import numpy as np
import pytest

from convnets import augment
from convnets.augment.mixing import MIXTURES
from convnets.augment.transforms import transforms

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
def test_images_of_a_batch_do_not_share_one_toss(name):
    """The same example under 32 keys does not come out the same 32 times."""
    images = jax.jit(jax.vmap(lambda seed: transforms[name](jax.random.key(seed), example())["image"]))
    assert len({image.tobytes() for image in np.asarray(images(np.arange(32)))}) > 1
