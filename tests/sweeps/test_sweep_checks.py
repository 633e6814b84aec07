"""What is checked of a sweep before anything is started."""

import json

import pytest
from small_sweeps import small_sweep

from convnets.errors import InvalidValue
from convnets.sweeps.claim import claim, keep_storage
from convnets.sweeps.space import Choice, choice, integers, log_uniform, uniform
from convnets.sweeps.study import open_study
from convnets.sweeps.sweep import metric_of
from convnets.training.config import complete, default_config

RATE = "optimizer.learning_rate"


def test_values_become_what_their_fields_have(tmp_path):
    space = small_sweep(tmp_path, {RATE: 1, "augmentation": [("flip", {})]}).space
    assert repr(space.fixed) == "({'optimizer.learning_rate': 1.0, 'augmentation': (('flip', {}),)},)"
    search = small_sweep(tmp_path, {RATE: choice(1, 0.5), "optimizer.weight_decay": 0, "seed": integers(0, 9)}).space
    assert repr(search.search[RATE]) == repr(Choice((1.0, 0.5)))
    assert repr(search.constants) == "{'optimizer.weight_decay': 0.0}"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"optimizer.learning_rat": log_uniform(0.1, 1)}, "did you mean 'optimizer.learning_rate'"),
        ({"optimizer.learning_rat": 0.1}, "unknown field optimizer.learning_rat"),
        (
            {"train.batch_size": uniform(16, 64)},
            "train.batch_size takes a whole number, such as 128, and was given 16.0",
        ),
        ({RATE: choice(0.1, "fast")}, "takes a number, such as 0.1, and was given 'fast'"),
        ({"network.name": choice("lenet5", "lenet6")}, "unknown architecture 'lenet6': did you mean 'lenet5'"),
        ({RATE: uniform(-1, 1)}, "optimizer.learning_rate is -1.0, and must be positive"),
        ({"network.name": log_uniform(0.1, 1)}, "network.name takes text"),
        # The option is SGD's alone.
        (
            {"optimizer.name": choice("sgd", "adamw"), "optimizer.momentum": uniform(0.5, 0.9)},
            "unknown field optimizer.momentum",
        ),
        ({"evaluation.metric": choice("top1", "loss")}, "trials are compared by one metric"),
        ({"task.name": "segmentation"}, "trials are compared by one metric"),
        ({"validation.examples": choice(0, 500)}, "by one metric on the same examples: set it in get_config()"),
    ],
)
def test_what_no_trial_could_have_is_refused(tmp_path, values, sentence):
    with pytest.raises(InvalidValue) as refusal:
        small_sweep(tmp_path, values)
    assert sentence in str(refusal.value)


def test_options_of_a_choice_may_be_searched_beside_it(tmp_path):
    values = {"optimizer.name": choice("sgd", "adamw"), RATE: log_uniform(0.001, 0.1)}
    sweep = small_sweep(tmp_path, values, {"optimizer.name": "adamw"})
    assert sweep.config_of({"optimizer.name": "adamw", RATE: 0.01}).optimizer.b1 == 0.9


def test_the_metric_is_the_tasks_own_or_the_one_that_the_experiment_names():
    config = default_config()
    assert metric_of(complete(config)) == ("top1", True)
    config.evaluation.metric = "loss"
    assert metric_of(complete(config)) == ("loss", False)
    config.evaluation.metric = "top2"
    with pytest.raises(InvalidValue, match=r"unknown evaluation\.metric 'top2'"):
        metric_of(complete(config))
    config.validation.examples = 0
    with pytest.raises(InvalidValue, match=r"set validation\.examples above 0"):
        metric_of(complete(config))


def test_a_workdir_belongs_to_one_sweep(tmp_path):
    one = small_sweep(tmp_path, {RATE: log_uniform(0.1, 1)})
    assert claim(one) == claim(one)
    other = small_sweep(tmp_path, {RATE: log_uniform(0.1, 2)})
    with pytest.raises(InvalidValue) as refusal:
        claim(other)
    assert "optimizer.learning_rate is log_uniform(0.1, 1.0) there and log_uniform(0.1, 2.0) here" in str(refusal.value)
    claim(small_sweep(tmp_path / "other", {RATE: log_uniform(0.1, 2)}))


def test_a_sweep_from_before_a_field_was_added_goes_on(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.1})
    name = claim(sweep)
    kept = json.loads((tmp_path / "study.json").read_text())
    del kept["config"]["train"]["gradient_accumulation"]
    (tmp_path / "study.json").write_text(json.dumps(kept))
    assert claim(sweep) == name


def test_trials_that_are_in_one_storage_are_not_begun_again_in_another(tmp_path):
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    with pytest.raises(InvalidValue, match="can't be reached"):
        open_study(small_sweep(tmp_path, {RATE: 0.1}, storage="sqlite:////nowhere/study.db"))
    open_study(small_sweep(tmp_path, {RATE: 0.1}, storage=shared))
    claim(small_sweep(tmp_path, {RATE: 0.1}, storage=shared))
    with pytest.raises(InvalidValue) as refusal:
        claim(small_sweep(tmp_path, {RATE: 0.1}))
    assert f"--storage is {shared} there and study.db here" in str(refusal.value)


def test_the_password_of_a_storage_is_not_kept(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.1}, storage="postgresql://me:secret@host/name")
    claim(sweep)
    keep_storage(sweep)
    assert "secret" not in (tmp_path / "study.json").read_text()
    claim(small_sweep(tmp_path, {RATE: 0.1}, storage="postgresql://me:changed@host/name"))


def test_the_name_of_a_study_is_another_in_another_folder_of_the_same_name(tmp_path):
    names = {claim(small_sweep(tmp_path / place / "sweep", {RATE: uniform(0.1, 1)})) for place in "ab"}
    assert len(names) == 2 and all(name.startswith("sweep-") for name in names)


def test_a_moved_workdir_keeps_its_study(tmp_path):
    name = claim(small_sweep(tmp_path / "here", {RATE: 0.1}))
    (tmp_path / "here").rename(tmp_path / "there")
    assert claim(small_sweep(tmp_path / "there", {RATE: 0.1})) == name


@pytest.mark.parametrize("content", ["", "null", "{}", '{"config": 3}'])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(InvalidValue, match=r"study\.json is damaged"):
        claim(small_sweep(tmp_path, {RATE: 0.1}))


def test_the_workdir_of_a_run_is_no_place_for_a_sweep(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(InvalidValue, match=r"holds a run of launch\.py train"):
        claim(small_sweep(tmp_path, {RATE: 0.1}))
    with pytest.raises(InvalidValue, match="can't be written"):
        claim(small_sweep(tmp_path / "config.json", {RATE: 0.1}))
