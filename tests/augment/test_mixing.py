"""Mixup and CutMix: what they do to images and labels, and how much of each example there is."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_examples import under_keys
from scipy.stats import beta, ks_2samp, kstest

from convnets.augment import transforms
from convnets.augment.mixing import MIXTURES, mixup

both = pytest.mark.parametrize("name", MIXTURES)


def pair(height: int = 6, width: int = 9, seed: int = 0) -> dict[str, Any]:
    """An example above a half with label 4, its partner below with label 7."""
    random = np.random.default_rng(seed)
    own, other = (low + 0.5 * random.uniform(size=(height, width, 3)).astype(np.float32) for low in (0.5, 0.0))
    return {
        "image": own,
        "label": np.int32(4),
        "index": np.int32(11),
        "partner": {"image": other, "label": np.int32(7), "index": np.int32(12)},
    }


def mixed(name: str, count: int = 100, example: Any = None, alpha: float = 1.0, probability: float = 1.0) -> Any:
    return under_keys(transforms[name], example or pair(), count, alpha=alpha, probability=probability)


@both
def test_fields_are_the_examples_own_with_labels_and_shares_of_both_and_no_partner(name):
    given, before = pair(), pair()
    transforms[name](jax.random.key(0), given, alpha=1.0)
    assert jax.tree.all(jax.tree.map(np.array_equal, given, before))
    results = mixed(name)
    assert set(results) == {"image", "label", "index", "labels", "label_shares"}
    assert results["image"].shape == (100, 6, 9, 3) and results["image"].dtype == np.float32
    assert (results["label"] == 4).all() and (results["index"] == 11).all()
    assert results["labels"].tolist() == [[4, 7]] * 100 and results["labels"].dtype == np.int32
    assert results["label_shares"].shape == (100, 2) and results["label_shares"].dtype == np.float32
    np.testing.assert_allclose(results["label_shares"].sum(1), 1, atol=1e-6)


def test_mixup_weighs_the_images_as_the_labels():
    given = pair()
    results = mixed("mixup")
    for image, (own, other) in zip(results["image"], results["label_shares"], strict=True):
        np.testing.assert_allclose(image, own * given["image"] + other * given["partner"]["image"], atol=1e-6)


def test_cutmix_takes_a_rectangle_of_the_partner_and_the_share_of_its_pixels():
    given = pair()
    results = mixed("cutmix")
    for image, (own, other) in zip(results["image"], results["label_shares"], strict=True):
        pasted = image[..., 0] < 0.5
        np.testing.assert_array_equal(image, np.where(pasted[..., None], given["partner"]["image"], given["image"]))
        rows, columns = pasted.any(1), pasted.any(0)
        assert pasted.sum() == rows.sum() * columns.sum()
        assert all((np.diff(np.nonzero(line)[0]) == 1).all() for line in (rows, columns)), "an interval each"
        np.testing.assert_allclose([own, other], [1 - pasted.mean(), pasted.mean()], atol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_lambda_of_mixup_has_the_beta_distribution(alpha):
    shares = mixed("mixup", 4000, alpha=alpha)["label_shares"][:, 0].astype(np.float64)
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 1e-3


def reference_shares(height: int, width: int, alpha: float, count: int) -> np.ndarray:
    """The corrected lambda of CutMix, step by step as the paper's section 3.1 has it, clipped to the image."""
    random = np.random.default_rng(0)
    shares = []
    for _ in range(count):
        side = np.sqrt(1 - random.beta(alpha, alpha))
        ends = 1
        for size in (height, width):
            length, centre = int(size * side), random.integers(size)
            low, high = (np.clip(centre + end, 0, size) for end in (-(length // 2), length - length // 2))
            ends *= high - low
        shares.append(1 - ends / (height * width))
    return np.array(shares)


def test_the_share_of_cutmix_is_distributed_as_in_a_simulation_of_the_paper():
    shares = mixed("cutmix", 4000, pair(40, 50), alpha=0.5)["label_shares"][:, 0].astype(np.float64)
    expected = reference_shares(40, 50, 0.5, 4000)
    # Equal counts of pixels tie only if they are the same number in both.
    assert ks_2samp(np.round(shares * 2000), np.round(expected * 2000)).pvalue > 1e-3


def test_rectangles_of_cutmix_have_the_images_proportions_and_any_centre():
    """Those that touch no border, at least; where they are, no side is preferred."""
    images = mixed("cutmix", 3000, pair(40, 80))["image"]
    pasted = images[..., 0] < 0.5
    inside = ~(pasted[:, [0, -1]].any((1, 2)) | pasted[:, :, [0, -1]].any((1, 2))) & pasted.any((1, 2))
    rows, columns = pasted[inside].any(2).sum(1), pasted[inside].any(1).sum(1)
    assert inside.sum() > 100
    assert np.abs(columns - 2 * rows).max() <= 1
    covered = pasted.mean(0)
    standard_error = 0.5 / np.sqrt(3000)
    assert np.abs(covered - covered[::-1]).max() < 7 * standard_error
    assert np.abs(covered - covered[:, ::-1]).max() < 7 * standard_error


@both
def test_with_the_opposite_probability_the_example_stays_as_it_was(name):
    given = pair()
    never = mixed(name, 5, given, probability=0.0)
    np.testing.assert_array_equal(never["image"], np.stack([given["image"]] * 5))
    assert never["label_shares"].tolist() == [[1, 0]] * 5
    # Beta(1, 1) is 1 exactly with probability 0; a rectangle of less than a pixel is rare at 40 x 50.
    sometimes = mixed(name, 2000, pair(40, 50), alpha=1.0, probability=0.3)
    unchanged = (sometimes["label_shares"][:, 0] == 1).mean()
    assert abs(unchanged - 0.7) < 4 * np.sqrt(0.21 / 2000) + 0.001


@both
def test_mixtures_of_mixtures_keep_every_label_with_its_share(name):
    """Channel i of image i is 1, so that the mean colour says how much of each image there is."""
    count, classes = 8, 8
    images = np.broadcast_to(np.eye(classes, dtype=np.float32)[:, None, None], (count, 5, 7, classes))
    batch = {"image": jnp.asarray(images), "label": jnp.arange(count, dtype=jnp.int32)}

    def mix(function: Any, shift: int, seed: int, batch: dict[str, Any]) -> dict[str, Any]:
        partners = jax.tree.map(lambda leaf: jnp.roll(leaf, shift, axis=0), batch)
        keys = jax.random.split(jax.random.key(seed), count)
        return jax.vmap(functools.partial(function, alpha=1.0))(keys, batch | {"partner": partners})

    @jax.jit
    def chain(batch: dict[str, Any]) -> dict[str, Any]:
        return mix(transforms[name], 4, 2, mix(mixup, 2, 1, mix(mixup, 1, 0, batch)))

    result = jax.tree.map(np.asarray, chain(batch))
    assert result["labels"].shape == result["label_shares"].shape == (count, 8)
    for number in range(count):
        assert sorted(result["labels"][number].tolist()) == list(range(8))
        assert result["labels"][number][0] == number == result["label"][number]
        shares = np.zeros(classes)
        np.add.at(shares, result["labels"][number], result["label_shares"][number])
        np.testing.assert_allclose(result["image"][number].mean((0, 1)), shares, atol=1e-5)
        np.testing.assert_allclose(result["label_shares"][number].sum(), 1, atol=1e-6)


@both
def test_type_and_range_of_the_image_stay(name):
    given, dtype = pair(), jnp.bfloat16
    given["image"] = jnp.ones((6, 9, 1), dtype)
    given["partner"]["image"] = jnp.ones((6, 9, 1), dtype)
    images = mixed(name, example=given)["image"]
    assert images.dtype == dtype and images.shape == (100, 6, 9, 1)
    assert images.max() <= 1 and images.min() > 0.99
