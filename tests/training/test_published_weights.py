"""Runs that begin with a weight file: what travels with it, and what is refused in a sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file
from stripes import config_of, striped

from convnets import models
from convnets.errors import InvalidValue
from convnets.pretrained.conversion import naming_for, to_names
from convnets.training.initialization import (
    initial_weights,
    initialization_of,
    take_normalization,
    take_normalization_of_run,
)
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state
from convnets.training.workdir import Workdir

SOURCE = striped(64)
NEW = {"initialize.head": "new", "initialize.stem": "adapt"}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """ResNet-18 for 1,000 classes in torchvision's names."""
    network = models.create("resnet18", 1000)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    random = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: random.uniform(0.1, 1, leaf.shape).astype(np.float32), shapes)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(to_names(variables, naming_for("resnet18", "torchvision")), path)
    return path, variables


def begun(path, fields, network="resnet18", workdir="nowhere"):
    fields = {"initialize.weights": str(path), "network.image_size": 32} | fields
    config = config_of(fields, network=network)
    source = initial_weights(config, Workdir(workdir))
    take_normalization(config, source, 1)
    model = build_model(config, SOURCE.info)
    return config, model, initialization_of(config, model, source)


def test_stages_are_taken_the_stem_sums_its_channels_and_the_head_is_new(file):
    path, there = file
    config, model, initialization = begun(path, NEW | {"normalization.mean": (), "normalization.std": ()})
    state = jax.device_get(initial_state(config, model, make_plan(config, model, len(SOURCE))))
    after = initialization.apply(state)
    jax.tree.map(np.testing.assert_array_equal, after.params["stage3_block2"], there["params"]["stage3_block2"])
    jax.tree.map(np.testing.assert_array_equal, after.batch_stats, there["batch_stats"])
    np.testing.assert_array_equal(after.params["logits"]["kernel"], state.params["logits"]["kernel"])
    np.testing.assert_allclose(
        after.params["conv1"]["convolution"]["kernel"][:, :, 0],
        there["params"]["conv1"]["convolution"]["kernel"].sum(2),
        rtol=1e-6,
    )
    assert "torchvision's resnet18" in initialization.summary and "1 adapted, 2 new" in initialization.summary


def test_the_normalization_travels_with_the_weights_as_a_mean_for_gray_images(file):
    config, *_ = begun(file[0], NEW | {"normalization.mean": (), "normalization.std": ()})
    assert config.normalization.mean == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
    assert config.normalization.std == pytest.approx([(0.229 + 0.224 + 0.225) / 3])


def test_another_normalization_is_refused_with_the_one_that_the_weights_expect_unless_allowed(file):
    with pytest.raises(InvalidValue, match=r"expects images normalized by the mean \(0.449\) and the std"):
        begun(file[0], NEW)
    begun(file[0], NEW | {"initialize.allow": ("normalization",)})


def test_a_resumed_run_has_the_normalization_it_began_with_though_the_file_is_gone(file, tmp_path):
    config, *_ = begun(file[0], NEW | {"normalization.mean": (), "normalization.std": ()})
    workdir = Workdir(tmp_path / "run")
    workdir.claim(config, SOURCE.info, {})
    again = config_of({"normalization.mean": (), "normalization.std": ()}, network="resnet18")
    take_normalization_of_run(again, workdir)
    assert again.normalization.mean == config.normalization.mean


def test_an_empty_normalization_without_weights_is_refused():
    with pytest.raises(
        InvalidValue, match=r"normalization.mean is \(\), which stands for what initialize.weights expect"
    ):
        take_normalization(config_of({"normalization.mean": (), "normalization.std": ()}), None, 1)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"initialize.stem": "adapt"},
            r"the weights tell 1,000 classes apart and this network 10: begin with a new head",
        ),
        (
            {"initialize.head": "new"},
            r"1 array does not fit: conv1/convolution/kernel is float32\[7, 7, 3, 64\] there.*stem='adapt'",
        ),
        (
            NEW | {"initialize.allow": ("conv9",)},
            "allow has 'conv9', which is no layer of either: did you mean",
        ),
        (
            NEW | {"initialize.architecture": "resnet34"},
            "does not hold weights of resnet34: they are most like torchvision",
        ),
        (NEW | {"initialize.weights": "/nowhere/vgg.pth"}, "initialize.weights: .*/nowhere/vgg.pth"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(file, fields, sentence):
    with pytest.raises(InvalidValue, match=sentence) as refused:
        begun(file[0], {"normalization.mean": (), "normalization.std": ()} | fields)
    assert "\n" not in str(refused.value)


def test_a_deeper_network_begins_as_the_shallower_one_and_gives_its_logits(file):
    path, _ = file
    fields = {"initialize.architecture": "resnet18", "initialize.deepen": True, "initialize.stem": "adapt"}
    fields |= {"initialize.head": "new", "normalization.mean": (), "normalization.std": ()}
    config, model, initialization = begun(path, fields, "resnet34")
    assert initialization.report.count("identity") == 16
    state = jax.device_get(initial_state(config, model, make_plan(config, model, len(SOURCE))))
    deep = initialization.apply(state)
    shallow = models.create("resnet18", 10, image_size=32)
    images = np.random.default_rng(1).normal(size=(2, 32, 32, 1)).astype(np.float32)
    names = set(jax.eval_shape(shallow.init, jax.random.key(0), images)["params"])
    variables = {
        part: {name: value for name, value in getattr(deep, part).items() if name in names}
        for part in ("params", "batch_stats")
    }
    expected = shallow.apply(variables, images)[0]
    found = model.network.apply({"params": deep.params, "batch_stats": deep.batch_stats}, images)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_plain_networks_have_no_identity_to_begin_with(file):
    fields = {"initialize.deepen": True, "initialize.architecture": "resnet18"} | NEW
    with pytest.raises(
        InvalidValue, match="is for residual networks with shortcuts A or B, and 'plain34' has none such"
    ):
        begun(file[0], fields | {"normalization.mean": (), "normalization.std": ()}, "plain34")
