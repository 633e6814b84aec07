"""Networks with their weights in one call: files exported from here, and those in torchvision's names."""

import json
from functools import partial

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file
from small_variables import by_name, narrow, variables_of

from convnets import models
from convnets.data.normalization import IMAGENET, Normalization
from convnets.errors import InvalidValue
from convnets.layers import BatchNorm
from convnets.pretrained.loading import load_pretrained
from convnets.pretrained.patterns import flat
from convnets.pretrained.writing import torchvision_state

OPTIONS = {"width": 1 / 16, "image_size": 32}
CLASSES = [f"class {i}" for i in range(10)]
ABOUT = {
    "architecture": "resnet18",
    "options": OPTIONS,
    "classes": CLASSES,
    "normalization": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]},
}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def network():
    return narrow("resnet18")


@pytest.fixture(scope="module")
def variables(network):
    return variables_of(network)


@pytest.fixture(scope="module")
def file(variables, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    about = {name: said if isinstance(said, str) else json.dumps(said) for name, said in ABOUT.items()}
    save_file(by_name(variables), path, metadata=about)
    return str(path)


def test_a_file_that_was_exported_here_says_all_that_is_needed(network, variables, file):
    found = load_pretrained(file)
    assert found.network == network and found.classes == tuple(CLASSES)
    assert found.normalization == Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert found.report.count("taken") == len(found.report.entries)
    images = (PIXELS / np.float32(255) - np.float32([0.4, 0.5, 0.6])) / np.float32([0.2, 0.25, 0.3])
    logits, _ = jax.jit(lambda images: network.apply(variables, images, train=False))(images)
    given = found.predict(PIXELS)
    np.testing.assert_allclose(given, jax.nn.softmax(logits), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(given.sum(-1), 1, rtol=1e-5)


def test_another_number_of_classes_has_a_new_head_and_the_rest_of_the_file(variables, file):
    found = load_pretrained(file, num_classes=4)
    assert found.predict(PIXELS).shape == (2, 4) and found.classes == ()
    new = {entry.name for entry in found.report.entries if entry.what == "new"}
    assert new == {"logits/kernel", "logits/bias"}
    mine, theirs = flat(found.variables), flat(variables)
    assert all(np.array_equal(mine[path], theirs[path]) for path in theirs if "logits" not in path)


def test_the_batch_norms_of_an_exported_file_are_those_of_its_run(variables, tmp_path):
    about = {"architecture": "resnet18", "batch_norm": json.dumps({"epsilon": 0.5, "per": "filter"})}
    path = tmp_path / "network.safetensors"
    save_file(by_name(variables), path, metadata=about | {"options": json.dumps(OPTIONS)})
    found = load_pretrained(str(path), normalization=IMAGENET)
    network = narrow("resnet18", norm=partial(BatchNorm, epsilon=0.5))
    images = IMAGENET(PIXELS / np.float32(255))
    logits, _ = jax.jit(lambda images: network.apply(variables, images, train=False))(images)
    np.testing.assert_allclose(found.predict(PIXELS), jax.nn.softmax(logits), rtol=1e-4, atol=1e-6)


def test_weights_in_torchvisions_names_are_recognised(tmp_path):
    network = models.create("resnet18", 10, image_size=64)
    variables = variables_of(network)
    save_file(torchvision_state("resnet18", variables), tmp_path / "file.safetensors")
    found = load_pretrained(str(tmp_path / "file.safetensors"), image_size=64)
    assert found.network == network and found.normalization == IMAGENET and found.classes == ()
    mine, theirs = flat(found.variables), flat(variables)
    assert mine.keys() == theirs.keys() and all(np.array_equal(mine[path], theirs[path]) for path in theirs)


def test_what_a_file_does_not_say_is_asked_for(variables, tmp_path):
    path = tmp_path / "network.npz"
    np.savez(path, **by_name(variables))
    with pytest.raises(InvalidValue, match="does not say which network its weights are of: name the architecture"):
        load_pretrained(str(path))
    found = load_pretrained(str(path), "resnet18", **OPTIONS)
    with pytest.raises(InvalidValue, match=r"load them with normalization=Normalization\(mean, std\)"):
        found.predict(PIXELS)
    with pytest.raises(InvalidValue, match=r"predict takes uint8 images .* float32\(2, 32, 32, 3\)"):
        found.predict(PIXELS / np.float32(255))
    assert load_pretrained(str(path), "resnet18", normalization=IMAGENET, **OPTIONS).predict(PIXELS).shape == (2, 10)


def test_weights_that_do_not_fit_are_refused(file):
    with pytest.raises(InvalidValue, match="do not fit"):
        load_pretrained(file, width=1 / 8)
    with pytest.raises(InvalidValue, match="do not fit"):
        load_pretrained(file, "resnet34", **OPTIONS)
