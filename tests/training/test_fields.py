"""Fields set by their names with dots."""

import pytest

from convnets.errors import InvalidValue
from convnets.training.config import complete, default_config
from convnets.training.config_rules import with_fields


@pytest.fixture(scope="module")
def config():
    return complete(default_config())


def test_values_are_put_in_as_the_field_has_them(config):
    changed = with_fields(
        config,
        {"optimizer.learning_rate": 1, "seed": 3, "augmentation": [("flip", {})], "evaluation.checkpoint": "last"},
    )
    assert changed.optimizer.learning_rate == 1.0 and isinstance(changed.optimizer.learning_rate, float)
    assert (changed.seed, changed.augmentation, changed.evaluation.checkpoint) == (3, (("flip", {}),), "last")
    assert changed.is_locked


def test_the_config_itself_stays_as_it_is(config):
    with_fields(config, {"seed": 3, "network.name": "lenet5_bn"})
    assert (config.seed, config.network.name) == (0, "lenet5")


def test_a_choice_brings_its_options(config):
    changed = with_fields(config, {"optimizer.b2": 0.9, "optimizer.name": "adamw"})
    assert changed.optimizer.b2 == 0.9 and "momentum" not in changed.optimizer


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"optimizer.learning_rat": 1.0},
            "unknown field optimizer.learning_rat: did you mean 'optimizer.learning_rate'",
        ),
        ({"optimizer.b2": 0.9}, "unknown field optimizer.b2"),
        ({"bogus": 1}, "the sections are augmentation, "),
        ({"optimizer": 1}, "unknown field optimizer"),
        ({"optimizer.name": "sdg"}, "unknown optimizer 'sdg': did you mean 'sgd'"),
        ({"optimizer.name": 3}, "optimizer.name takes text, such as 'sgd', and was given 3"),
        ({"optimizer.learning_rate": "fast"}, "optimizer.learning_rate takes a number, such as 0.1, and was given"),
        ({"optimizer.learning_rate": True}, "takes a number, such as 0.1, and was given True"),
        ({"train.batch_size": 12.5}, "train.batch_size takes a whole number, such as 128, and was given 12.5"),
        ({"augmentation": "flip"}, "augmentation takes a tuple, such as (), and was given 'flip'"),
        ({"optimizer.learning_rate": -1.0}, "optimizer.learning_rate is -1.0, and must be positive"),
        ({"optimizer.rates": (("conv1", 0),)}, "('conv1', 0),), and takes pairs of a pattern and a positive factor"),
        ({"optimizer.rates": (("conv1", float("nan")),)}, "takes pairs of a pattern and a positive factor"),
        ({"optimizer.rates": (("conv1", "fast"),)}, "takes pairs of a pattern and a positive factor"),
        ({"optimizer.rates": ("conv1", 0.1)}, "takes pairs of a pattern and a positive factor"),
        ({"optimizer.depth_decay": 0.0}, "optimizer.depth_decay is 0.0, and must lie in (0, 1]"),
        ({"optimizer.depth_decay": 1.5}, "optimizer.depth_decay is 1.5"),
        ({"augmentation": (("flop", {}),)}, "unknown augmentation 'flop': did you mean 'flip'"),
    ],
)
def test_what_a_field_can_not_have_is_refused(config, values, sentence):
    with pytest.raises(InvalidValue) as refusal:
        with_fields(config, values)
    assert sentence in str(refusal.value)
