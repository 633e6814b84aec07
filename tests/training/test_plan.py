"""What is trained from which step on: what is refused, and how a state moves from one phase into the next."""

import functools
from typing import Any

import jax
import numpy as np
import pytest
from stripes import config_of, striped

from convnets.errors import InvalidValue
from convnets.pretrained.patterns import flat
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state

SOURCE = striped(64)
GRADUAL = (("0 steps", "pre_logits"), ("3 steps", "stage3"), ("2 epochs", ""))


@functools.cache
def model_of(network: str) -> Any:
    return build_model(config_of(network=network), SOURCE.info)


def planned(fields: dict[str, Any], **choices: str) -> tuple[Any, Any, Any]:
    """The config, the model, and the plan of eight epochs of two steps."""
    config = config_of({"train.duration": "8 epochs"} | fields, **({"network": "lenet5_bn"} | choices))
    model = model_of(config.network.name)
    return config, model, make_plan(config, model, len(SOURCE))


def layers(paths: Any) -> set[str]:
    return {path[0] for path in paths}


def test_a_schedule_freezes_what_lies_below_its_maps_and_the_named_layers_always():
    schedule = (("0 steps", "pre_logits"), ("1 epochs", "stage2"), ("5 steps", ""))
    *_, plan = planned({"freeze.schedule": schedule, "freeze.layers": ("norm1", "fc?")})
    assert [phase.start for phase in plan.phases] == [0, 2, 5]
    always = {"norm1", "fc3", "fc4"}
    below = [{"conv1", "conv2", "norm2", "norm3"}, {"conv1"}, set()]
    assert [layers(phase.frozen) for phase in plan.phases] == [always | each for each in below]
    assert [plan.phase_at(step).start for step in (0, 1, 2, 4, 5, 100)] == [0, 0, 2, 2, 5, 5]


def test_without_any_of_it_there_is_one_phase_and_everything_is_trained():
    *_, plan = planned({})
    [only] = plan.phases
    assert (only.start, only.frozen, only.factors) == (0, frozenset(), {})


def factors(fields: dict[str, Any]) -> dict[str, float]:
    *_, plan = planned(fields)
    return {"/".join(path): factor for path, factor in plan.phases[0].factors.items()}


def test_the_first_rate_that_matches_counts_and_the_rate_decays_with_each_group_of_layers():
    rates = (("logits", 4.0), ("conv*", 0.5), ("conv2", 9.0), ("fc4/kernel", 2))
    assert factors({"optimizer.rates": rates}) == {
        "logits/kernel": 4.0,
        "logits/bias": 4.0,
        "conv1/kernel": 0.5,
        "conv2/kernel": 0.5,
        "fc4/kernel": 2.0,
    }
    decayed = factors({"optimizer.depth_decay": 0.5, "optimizer.rates": (("fc4", 8.0),)})
    assert {path.split("/")[0]: factor for path, factor in decayed.items()} == {
        "fc4": 4.0,
        "norm4": 0.5,
        "fc3": 0.25,
        "norm3": 0.25,
        "conv2": 0.125,
        "norm2": 0.125,
        "conv1": 0.0625,
        "norm1": 0.0625,
    }
    assert factors({"optimizer.rates": (("*", 1.0),)}) == {}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"freeze.below": "stage33"}, "freeze.below: the network has no feature map 'stage33': did you mean 'stage3'"),
        ({"freeze.below": "stage1"}, "freeze.below: no layers lie below the feature map 'stage1'"),
        ({"freeze.layers": ("conv9",)}, "freeze.layers has 'conv9', and there is no such layer: did you mean 'conv"),
        ({"freeze.layers": ("*",)}, "leave nothing to train from step 0 on: freeze less"),
        (
            {"freeze.layers": ("logits",), "freeze.schedule": (("0 steps", ""), ("2 steps", "logits"))},
            "freeze.schedule and freeze.layers leave nothing to train from step 2 on",
        ),
        ({"freeze.schedule": (("0 steps", ""), ("2 steps", "stage9"))}, "freeze.schedule: .* no feature map 'stage9'"),
        ({"freeze.schedule": GRADUAL, "freeze.below": "stage2"}, "'stage2' beside a freeze.schedule.* set one of them"),
        ({"freeze.schedule": (("1 steps", "stage2"),)}, "begins with '0 steps'"),
        ({"freeze.schedule": (("0 steps", "stage2"), ("0 epochs", ""))}, "goes on to later steps"),
        ({"freeze.schedule": (("0 steps", 3),)}, "each with a feature map or ''"),
        ({"freeze.schedule": (("soon", "stage2"),)}, "pairs such as .*'soon' is not a duration"),
        ({"freeze.schedule": ("stage2",)}, r"has pairs such as \('6 epochs', 'stage3'\)"),
        (
            {"freeze.schedule": (("0 steps", "stage2"), ("8 epochs", ""))},
            "comes to '' at step 16, and training ends after 16: let it come earlier",
        ),
        ({"optimizer.rates": (("conv9", 0.1),)}, "optimizer.rates has 'conv9', and there is no such layer"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence_before_the_first_step(fields, sentence):
    with pytest.raises(InvalidValue, match=sentence) as refused:
        planned(fields)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("resolutions", "sentence"),
    [
        ((("1 steps", 16), ("2 steps", 32)), "begins with '0 steps'"),
        ((("0 steps", 16), ("2 steps", 24), ("1 steps", 32)), "goes on to later steps"),
        ((("0 steps", 16), ("2 steps", 24)), "ends with 24 pixels, and must end with data.size, 32"),
        ((("0 steps", 0), ("2 steps", 32)), "each with a side in pixels"),
        ((("soon", 16), ("2 steps", 32)), "'soon' is not a duration"),
        ((16, 32), "has pairs such as"),
        ((("0 steps", 16), ("5 steps", 32)), "comes to 32 at step 5, and training ends after 5"),
    ],
)
def test_resolutions_that_make_no_sense_are_refused(resolutions, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        planned({"train.resolutions": resolutions, "train.duration": "5 steps", "data.size": 32}, data="image_folder")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_goes_on_is_kept_what_begins_begins_afresh_and_what_is_frozen_is_let_go(optimizer):
    config, model, plan = planned(
        {"freeze.schedule": GRADUAL, "train.average_decay": 0.9, "optimizer.weight_decay": 0.1}, optimizer=optimizer
    )
    state = jax.device_get(initial_state(config, model, plan, at=0))
    assert layers(flat(state.average)) == {"fc4", "norm4", "logits"}
    state = jax.tree.map(lambda x: x + 5, state)
    head, second, whole = (phase.frozen for phase in plan.phases)
    for frozen, at in ((second, 3), (head, 0), (whole, 4)):
        before, state = state, state.entering(plan.optimizer, frozen)
        fresh = jax.device_get(initial_state(config, model, plan, at=at))
        assert jax.tree.structure(state) == jax.tree.structure(fresh)
        jax.tree.map(lambda one, other: np.testing.assert_equal(one.shape, other.shape), state, fresh)
        went_on = flat(before.average).keys()
        for path, array in flat(state.average).items():
            origin = before.average if path in went_on else before.params
            np.testing.assert_array_equal(array, flat(origin)[path])
            assert not np.shares_memory(array, flat(state.params)[path])
        kept = dict(jax.tree_util.tree_leaves_with_path(before.optimizer_state))
        begun = dict(jax.tree_util.tree_leaves_with_path(fresh.optimizer_state))
        for path, array in jax.tree_util.tree_leaves_with_path(state.optimizer_state):
            np.testing.assert_array_equal(array, kept.get(path, begun[path]))
        jax.tree.map(np.testing.assert_array_equal, state.params, before.params)


@pytest.mark.parametrize(("batch_size", "steps", "rate"), [(32, 80, 0.05), (64, 40, 0.1), (16, 160, 0.025)])
def test_steps_and_learning_rate_follow_an_overridden_batch_size(batch_size, steps, rate):
    config = config_of({"train.batch_size": batch_size, "optimizer.reference_batch_size": 32})
    source = striped(256)
    plan = make_plan(config, build_model(config, source.info), len(source))
    assert plan.steps == steps
    assert plan.learning_rate == pytest.approx(rate)


def test_the_plateau_needs_a_validation_split():
    config = config_of(schedule="plateau")
    with pytest.raises(InvalidValue, match=r"set validation\.examples above 0"):
        make_plan(config, build_model(config, striped(64).info), 64)
