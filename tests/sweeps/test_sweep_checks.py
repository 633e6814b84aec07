"""What is checked of a sweep before anything is started."""

import pytest
from small_sweeps import RATE, small_sweep

from convnets.errors import InvalidValue
from convnets.sweeps.space import Choice, choice, integers, log_uniform, uniform
from convnets.sweeps.sweep import metric_of
from convnets.training.config import complete, default_config


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
