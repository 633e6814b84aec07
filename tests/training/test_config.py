"""Configs: what a choice brings along, what is derived, and what two configs do not share."""

import json

import pytest
from stripes import config_of, striped

from convnets.errors import InvalidValue
from convnets.training.config import complete, default_config
from convnets.training.config_file import differences, from_json, to_json
from convnets.training.plan import make_plan
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir


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


def test_a_network_of_another_number_of_channels_is_refused():
    config = config_of({"normalization.mean": (0.1, 0.2, 0.3), "normalization.std": (1.0, 1.0, 1.0)})
    with pytest.raises(InvalidValue, match="has 3 numbers, but the images of 'stripes' have 1 channels"):
        build_model(config, striped(64).info)


def test_a_run_that_is_older_than_a_field_goes_on_with_the_fields_default(tmp_path):
    config = complete(default_config())
    older = config.to_dict()
    del older["task"]["auxiliary_weight"], older["network"]["pooling"]
    (tmp_path / "config.json").write_text(json.dumps(older))
    Workdir(tmp_path).check(config)
    config.task.auxiliary_weight = 0.5
    with pytest.raises(InvalidValue, match=r"another config \(task.auxiliary_weight is 0.3 there and 0.5 here\)"):
        Workdir(tmp_path).check(config)
