"""Runs that begin with layers of another one."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from stripes import config_of, striped

from convnets.errors import InvalidValue
from convnets.parallel import Devices
from convnets.training.checkpoints import Checkpoints
from convnets.training.initialization import initial_weights, initialization_of
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
    assert initialization_of(config, state_of(config)[0], None) is None


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
    model, _ = state_of(config)
    with pytest.raises(InvalidValue, match=sentence) as refused:
        initialization_of(config, model, initial_weights(config, Workdir(tmp_path / "run")))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_layer_of_another_shape_is_refused(other, tmp_path):
    fields = {"initialize.workdir": str(other[0]), "initialize.layers": ("conv1",)}
    config = config_of(fields, network="resnet20")
    model, _ = state_of(config)
    with pytest.raises(InvalidValue, match=r"initialize, from .*: 6 arrays do not fit: conv1/"):
        initialization_of(config, model, initial_weights(config, Workdir(tmp_path / "run")))


@pytest.mark.parametrize(
    ("field", "value"),
    [("head", "new"), ("stem", "adapt"), ("architecture", "resnet18"), ("checkpoint", "last"), ("deepen", True)],
)
def test_a_field_without_anything_to_begin_with_is_refused(field, value):
    config = config_of({f"initialize.{field}": value})
    with pytest.raises(InvalidValue, match=f"initialize.{field} is {value!r}, and there is nothing to begin with"):
        initial_weights(config)


def beginning_for(classes, folder, **fields):
    """Of a run on data that have those classes."""
    config = config_of(
        {f"initialize.{field}": value for field, value in ({"workdir": str(folder)} | fields).items()},
        network="lenet5_bn",
    )
    model = build_model(config, replace(SOURCE.info, classes=classes))
    return initialization_of(config, model, initial_weights(config))


OTHERS = {
    "other names": tuple("abcdefghiz"),
    "another order": tuple("abcdefghji"),
}


@pytest.mark.parametrize("classes", OTHERS.values(), ids=OTHERS.keys())
def test_a_head_of_as_many_other_classes_is_refused_and_may_begin_anew(other, classes):
    label = next(i for i, name in enumerate(classes) if name != SOURCE.info.classes[i])
    there, here = SOURCE.info.classes[label], classes[label]
    said = rf"\(label {label} is '{there}' there and '{here}' here\): begin with a new head \(initialize.head='new'\)"
    with pytest.raises(InvalidValue, match=said) as refused:
        beginning_for(classes, other[0])
    assert "\n" not in str(refused.value)
    new = {entry.name for entry in beginning_for(classes, other[0], head="new").report.entries if entry.what == "new"}
    assert new == {"logits/kernel", "logits/bias"}


def test_other_classes_are_no_matter_where_the_head_is_not_taken(other):
    assert beginning_for(OTHERS["other names"], other[0], layers=("conv1",)).report.count("taken") == 1
    with pytest.raises(InvalidValue, match="begin with a new head"):
        beginning_for(OTHERS["other names"], other[0], layers=("conv1", "logits"))


def test_the_same_classes_keep_their_head(other):
    assert beginning_for(SOURCE.info.classes, other[0]).report.count("new") == 0
