"""Runs that begin with layers of another run or with a weight file: what is taken, and what is refused."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file
from stripes import config_of, striped

from convnets import models
from convnets.errors import InvalidValue
from convnets.parallel import Devices
from convnets.pretrained.conversion import naming_for, to_names
from convnets.training.checkpoints import Checkpoints
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


def state_of(config):
    model = build_model(config, SOURCE.info)
    return model, jax.device_get(initial_state(config, model, make_plan(config, model, len(SOURCE))))


def saved(folder, config, step=7):
    """A run that stands at a step, with numbers of its own everywhere."""
    workdir = Workdir(folder)
    workdir.claim(config, SOURCE.info, {})
    _, state = state_of(config)
    state = state.replace(
        **{part: jax.tree.map(lambda x: x + 5, getattr(state, part)) for part in ("params", "average")}
    )
    with Checkpoints(workdir.checkpoints) as checkpoints:
        checkpoints.save(step, state, {})
    return state


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other") / "run"
    return folder, saved(folder, config_of({"train.average_decay": 0.9}, network="lenet5_bn"))


def test_a_run_begins_with_the_averaged_parameters_of_those_layers_in_its_average_too(other, tmp_path):
    folder, there = other
    fields = {"initialize.workdir": str(folder), "initialize.layers": ("conv1", "norm1"), "seed": 3}
    config = config_of(fields | {"train.average_decay": 0.5}, network="lenet5_bn")
    model, state = state_of(config)
    initialization = initialization_of(config, model, initial_weights(config, Workdir(tmp_path / "run")))
    assert initialization.summary == f"{folder} at step 7: 5 taken, 17 new arrays"
    begun = initialization.apply(state)
    assert jax.tree.structure(begun) == jax.tree.structure(state)
    for layer in state.params:
        of = there.average if layer in ("conv1", "norm1") else state.params
        for part in (begun.params, begun.average):
            jax.tree.map(np.testing.assert_array_equal, part[layer], of[layer])
    jax.tree.map(np.testing.assert_array_equal, begun.batch_stats["norm2"], state.batch_stats["norm2"])
    jax.tree.map(np.testing.assert_array_equal, begun.optimizer_state, state.optimizer_state)
    # The mapped step overwrites what it is given: nothing may stand in the state twice.
    on_devices = jax.tree.leaves(Devices("pmap", jax.devices()[:1]).replicate(begun))
    assert len({leaf.unsafe_buffer_pointer() for leaf in on_devices if leaf.size > 1}) == len(
        [leaf for leaf in on_devices if leaf.size > 1]
    )
    assert not (tmp_path / "run").exists()


def test_a_run_that_has_begun_is_not_initialized_again(other, tmp_path):
    folder, _ = other
    config = config_of({"initialize.workdir": str(folder), "initialize.layers": ("conv1",)}, network="lenet5_bn")
    assert initial_weights(config, Workdir(folder)) is None
    gone = config_of({"initialize.workdir": str(tmp_path / "gone"), "initialize.layers": ("conv1",)})
    assert initial_weights(gone, Workdir(folder)) is None, "what it began with may be gone by then"


def test_without_a_workdir_a_run_begins_with_its_own_draws():
    config = config_of()
    assert initial_weights(config, Workdir("nowhere")) is None
    assert initialization_of(config, build_model(config, SOURCE.info), None) is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"workdir": ""},
            r"initialize.layers is \('conv1',\), and there is nothing to begin with: name the workdir of",
        ),
        ({"weights": "vgg16.pth"}, r"initialize.workdir is '.*' and initialize.weights 'vgg16.pth': begin with one of"),
        ({"layers": ("conv9",)}, "has no layer 'conv9': did you mean 'conv"),
        ({"checkpoint": "3"}, r"initialize.workdir: .* has no checkpoint of step 3: there are 7"),
        ({"checkpoint": "first"}, "the checkpoint 'first' is not 'best', 'last' or a step"),
        ({"workdir": "/nowhere"}, r"initialize.workdir: /nowhere is not a workdir"),
    ],
)
def test_what_cannot_be_begun_with_is_refused_before_anything_is_written(other, tmp_path, fields, sentence):
    given = {"workdir": str(other[0]), "layers": ("conv1",)} | fields
    config = config_of({f"initialize.{field}": value for field, value in given.items()}, network="lenet5_bn")
    with pytest.raises(InvalidValue, match=sentence) as refused:
        initialization_of(config, build_model(config, SOURCE.info), initial_weights(config, Workdir(tmp_path / "run")))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_field_without_anything_to_begin_with_is_refused():
    for field, value in {"head": "new", "stem": "adapt", "architecture": "resnet18", "deepen": True}.items():
        with pytest.raises(InvalidValue, match=f"initialize.{field} is {value!r}, and there is nothing to begin with"):
            initial_weights(config_of({f"initialize.{field}": value}))


def initialized(classes, folder, **fields):
    """Of a run on data that have those classes."""
    config = config_of(
        {f"initialize.{field}": value for field, value in ({"workdir": str(folder)} | fields).items()},
        network="lenet5_bn",
    )
    model = build_model(config, replace(SOURCE.info, classes=classes))
    return initialization_of(config, model, initial_weights(config))


OTHER_NAMES, ANOTHER_ORDER = tuple("abcdefghiz"), tuple("abcdefghji")


@pytest.mark.parametrize("classes", [OTHER_NAMES, ANOTHER_ORDER])
def test_a_head_of_as_many_other_classes_is_refused_and_may_begin_anew(other, classes):
    label = next(i for i, name in enumerate(classes) if name != SOURCE.info.classes[i])
    there, here = SOURCE.info.classes[label], classes[label]
    said = rf"\(label {label} is '{there}' there and '{here}' here\): begin with a new head \(initialize.head='new'\)"
    with pytest.raises(InvalidValue, match=said) as refused:
        initialized(classes, other[0])
    assert "\n" not in str(refused.value)
    new = {entry.name for entry in initialized(classes, other[0], head="new").report.entries if entry.what == "new"}
    assert new == {"logits/kernel", "logits/bias"}


def test_other_classes_are_no_matter_where_the_head_is_not_taken(other):
    assert initialized(OTHER_NAMES, other[0], layers=("conv1",)).report.count("taken") == 1
    with pytest.raises(InvalidValue, match="begin with a new head"):
        initialized(OTHER_NAMES, other[0], layers=("conv1", "logits"))
    assert initialized(SOURCE.info.classes, other[0]).report.count("new") == 0


NEW = {"initialize.head": "new", "initialize.stem": "adapt"}
EMPTY = {"normalization.mean": (), "normalization.std": ()}


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
    config, model, initialization = begun(path, NEW | EMPTY)
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


def test_the_normalization_travels_with_the_weights_and_stays_with_the_run(file, tmp_path):
    config, *_ = begun(file[0], NEW | EMPTY)
    # The mean over the channels, for gray images.
    assert config.normalization.mean == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
    assert config.normalization.std == pytest.approx([(0.229 + 0.224 + 0.225) / 3])
    workdir = Workdir(tmp_path / "run")
    workdir.claim(config, SOURCE.info, {})
    again = config_of(EMPTY, network="resnet18")
    take_normalization_of_run(again, workdir)
    assert again.normalization.mean == config.normalization.mean


def test_another_normalization_is_refused_with_the_one_that_the_weights_expect_unless_allowed(file):
    with pytest.raises(InvalidValue, match=r"expects images normalized by the mean \(0.449\) and the std"):
        begun(file[0], NEW)
    begun(file[0], NEW | {"initialize.allow": ("normalization",)})
    with pytest.raises(InvalidValue, match=r"normalization.mean is \(\), which stands for what initialize.weights"):
        take_normalization(config_of(EMPTY), None, 1)


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
            "allow: neither network has a layer 'conv9': did you mean 'conv1'",
        ),
        (NEW | {"initialize.weights": "/nowhere/vgg.pth"}, "initialize.weights: .*/nowhere/vgg.pth"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(file, fields, sentence):
    with pytest.raises(InvalidValue, match=sentence) as refused:
        begun(file[0], EMPTY | fields)
    assert "\n" not in str(refused.value)


def test_a_deeper_network_begins_as_the_shallower_one_and_gives_its_logits(file):
    path, _ = file
    fields = {"initialize.architecture": "resnet18", "initialize.deepen": True, "initialize.stem": "adapt"}
    fields |= EMPTY | {"initialize.head": "new"}
    config, model, initialization = begun(path, fields, "resnet34")
    assert initialization.report.count("identity") == 16
    with pytest.raises(InvalidValue, match="residual networks with shortcuts A or B, and 'plain34' has none such"):
        begun(path, fields, "plain34")
    state = jax.device_get(initial_state(config, model, make_plan(config, model, len(SOURCE))))
    deep = initialization.apply(state)
    shallow = models.create("resnet18", 10, image_size=32)
    images = np.random.default_rng(1).normal(size=(2, 32, 32, 1)).astype(np.float32)
    names = set(jax.eval_shape(shallow.init, jax.random.key(0), images)["params"])
    variables = {
        part: {name: value for name, value in getattr(deep, part).items() if name in names}
        for part in ("params", "batch_stats")
    }
    expected = jax.jit(shallow.apply)(variables, images)[0]
    found = jax.jit(model.network.apply)({"params": deep.params, "batch_stats": deep.batch_stats}, images)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
