"""Configs: what a choice brings along, what is derived, and what two configs do not share."""

import pytest
from stripes import config_of, striped

from convnets.errors import InvalidValue
from convnets.training.config import complete, default_config, differences, from_json, to_json
from convnets.training.config_rules import with_fields
from convnets.training.setup import build_model


def test_a_choice_brings_its_options_as_fields():
    config = complete(default_config())
    assert config.optimizer.momentum == 0.9
    assert config.schedule.final == 0.0
    assert "norm" not in complete(default_config(), {"network": "lenet5_bn"}).network


def test_another_choice_keeps_the_options_that_both_have_and_drops_the_others():
    experiment = default_config()
    experiment.optimizer.nesterov = True
    experiment.optimizer.learning_rate = 0.02
    experiment.network.pooling = "max"
    config = complete(experiment, {"optimizer": "adamw", "network": "lenet5_bn"})
    assert config.optimizer.name == "adamw"
    assert "nesterov" not in config.optimizer
    assert config.optimizer.learning_rate == 0.02
    assert config.network.pooling == "max"


def test_a_completed_config_is_locked():
    with pytest.raises(AttributeError):
        complete(default_config()).optimizer.lerning_rate = 1.0


def test_a_config_survives_its_file(tmp_path):
    config = config_of({"augmentation": (("flip", {"probability": 0.25}), ("pad_and_crop", {}))})
    (tmp_path / "config.json").write_text(to_json(config))
    assert differences(config, from_json(tmp_path / "config.json")) == []
    assert from_json(tmp_path / "config.json").augmentation[0] == ("flip", {"probability": 0.25})


def test_a_file_with_the_earlier_name_of_a_field_is_read(tmp_path):
    config = config_of({"normalization.std": (0.3,)})
    (tmp_path / "config.json").write_text(to_json(config).replace('"std"', '"deviation"'))
    assert differences(from_json(tmp_path / "config.json"), config) == []


def test_differences_name_the_fields_but_not_where_the_data_is():
    one = config_of({"data.data_dir": "/here", "loader.threads": 1})
    other = config_of({"data.data_dir": "/there", "seed": 3, "schedule.warmup": "1 epochs"})
    assert differences(one, other) == [
        "schedule.warmup is '0 steps' there and '1 epochs' here",
        "seed is 0 there and 3 here",
    ]


def test_a_network_of_another_number_of_channels_is_refused():
    config = config_of({"normalization.mean": (0.1, 0.2, 0.3), "normalization.std": (1.0, 1.0, 1.0)})
    with pytest.raises(InvalidValue, match="has 3 numbers, but the images of 'stripes' have 1 channels"):
        build_model(config, striped(64).info)


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
        ({"optimizer.weight_decay": -1e-4}, "optimizer.weight_decay is -0.0001, and must not be negative"),
        ({"optimizer.gradient_clip": -1.0}, "optimizer.gradient_clip is -1.0, and must not be negative"),
        ({"augmentation": (("flop", {}),)}, "unknown augmentation 'flop': did you mean 'flip'"),
    ],
)
def test_what_a_field_can_not_have_is_refused(config, values, sentence):
    with pytest.raises(InvalidValue) as refusal:
        with_fields(config, values)
    assert sentence in str(refusal.value)
