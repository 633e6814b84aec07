"""Features of a split: pooled maps of every example, and the cache that knows what they were made of."""

import os

import jax
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from stripes import config_of, striped

from convnets import data
from convnets.data.views import Subset, class_subset
from convnets.evaluation.features import FeatureCache, facts_of, features_of
from convnets.parallel import Devices
from convnets.progress import Screen
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state

SOURCE = striped(21)


@pytest.fixture(scope="module")
def network():
    """A config, its model and random variables."""
    config = config_of({"evaluation.batch_size": 10}, network="lenet5_bn")
    model = build_model(config, SOURCE.info)
    state = initial_state(config, model, make_plan(config, model, len(SOURCE)))
    return config, model, jax.device_get(state.variables())


@pytest.mark.parametrize("count", [1, 2])
def test_each_feature_is_a_filters_mean_over_its_map_for_every_example_once(network, count):
    """Against NumPy's means; neither batches nor devices divide the examples."""
    config, model, variables = network
    devices = Devices("pmap", jax.devices()[:count])
    with Screen(Console(quiet=True)) as screen:
        found = features_of(config, model, variables, SOURCE, devices, title="features", screen=screen)
    raw = SOURCE.batch(np.arange(21))
    mean, deviation = config.normalization.mean, config.normalization.std
    images = (raw["image"] / np.float32(255) - np.float32(mean)) / np.float32(deviation)
    _, maps = model.network.apply(variables, images, train=False)
    assert found.keys() == {*maps, "label"}
    np.testing.assert_array_equal(found["label"], raw["label"])
    for name, features in maps.items():
        expected = np.asarray(features, np.float64).mean((1, 2))
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_features_are_kept_by_what_they_were_made_of(tmp_path):
    cache = FeatureCache(tmp_path / "run")
    features = {"stage1": np.ones((2, 3), np.float32), "label": np.arange(2, dtype=np.int32)}
    assert cache.load("train", "abc") is None
    cache.save("train", "abc", features)
    kept = cache.load("train", "abc")
    assert kept.keys() == features.keys()
    for name, array in features.items():
        np.testing.assert_array_equal(kept[name], array, strict=True)
    assert cache.load("train", "abd") is None and cache.load("test", "abc") is None


@pytest.mark.parametrize("length", [0, 3, 100, -1])
def test_a_file_of_the_cache_that_is_empty_or_cut_short_counts_as_none(tmp_path, length):
    cache = FeatureCache(tmp_path)
    cache.save("train", "abc", {"stage1": np.ones((200, 3), np.float32)})
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:length])
    assert cache.load("train", "abc") is None


def test_what_features_depend_on_tells_networks_examples_and_fields_apart(network):
    config, model, variables = network
    changed = jax.tree.map(np.copy, variables)
    changed["params"]["conv1"]["kernel"][0, 0, 0, 0] += 1e-3
    darker = config_of({"normalization.mean": (0.3,)}, network="lenet5_bn")
    faster = config_of({"evaluation.batch_size": 7, "optimizer.learning_rate": 0.5}, network="lenet5_bn")
    facts = facts_of(config, model, variables, SOURCE)
    assert facts_of(faster, model, variables, SOURCE) == facts
    others = [
        facts_of(config, model, changed, SOURCE),
        facts_of(darker, model, variables, SOURCE),
        facts_of(config, model, variables, Subset(SOURCE, np.arange(20))),
        facts_of(config, model, variables, Subset(SOURCE, np.arange(21)[::-1])),
        facts_of(config, model, variables, class_subset(SOURCE, "train", ("b", "a"))),
    ]
    assert len({facts, *others}) == 1 + len(others)


@pytest.mark.parametrize("view", ["whole", "subset", "few", "subset of few"])
def test_pictures_that_changed_under_their_names_are_other_facts(network, tmp_path, monkeypatch, view):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                Image.new("L", (8, 8), number).save(tmp_path / split / name / f"{number}.png")

    def facts() -> str:
        source = data.create("image_folder", "train", data_dir=str(tmp_path), channels=1)
        if "few" in view:
            source = class_subset(source, "train", ("b", "a"), 3)
        return facts_of(*network, Subset(source, np.arange(6)) if "subset" in view else source)

    picture = tmp_path / "train" / "b" / "1.png"
    before, status = facts(), picture.stat()
    assert facts() == before
    # Of the same size, and at the same time or not.
    Image.new("L", (8, 8), 99).save(picture)
    assert picture.stat().st_size == status.st_size
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000))
    assert facts() != before
