"""A run's folder refuses another config and other data, as processes refuse data that differ among them."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from convnets.cli import train
from convnets.data.source import ArraySource, SourceInfo, Splits
from convnets.errors import InvalidValue
from convnets.training.config import complete, default_config
from convnets.training.workdir import Workdir

INFO = SourceInfo("pets", ("cat", "dog"), (2, 2, 3), {"train": 4, "test": 2}, digest="1234")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"classes": ("dog", "cat")}, r"classes \('cat', 'dog'\) then and \('dog', 'cat'\) now"),
        ({"splits": {"train": 4, "test": 3}}, "splits"),
        ({"digest": "4321"}, "their files, their order or their labels are others"),
    ],
)
def test_other_data_than_a_run_began_with_are_refused(tmp_path, change, sentence):
    workdir = Workdir(tmp_path)
    workdir.check_data(INFO)
    workdir.claim(complete(default_config()), INFO, {})
    workdir.check_data(INFO)
    workdir.check_data(replace(INFO, name="the same in another folder"))
    with pytest.raises(InvalidValue, match=f"have changed since it began .*{sentence}.* name another --workdir"):
        workdir.check_data(replace(INFO, **change))


def splits(info: SourceInfo) -> Splits:
    source = ArraySource({"image": np.zeros((4, 2, 2, 3), np.uint8)}, info)
    return Splits(source, None, source)


def test_processes_with_different_data_are_refused(monkeypatch):
    gathered = []

    def gather(number):
        gathered.append(number)
        return np.stack([number, gathered[0]])

    monkeypatch.setattr(train, "multihost_utils", SimpleNamespace(process_allgather=gather))
    train.check_processes_agree(splits(INFO))
    train.check_processes_agree(splits(INFO))
    with pytest.raises(InvalidValue, match=r"the processes have different data \(process 0 has 4 examples to train on"):
        train.check_processes_agree(splits(replace(INFO, digest="4321")))


def test_a_run_that_is_older_than_a_field_goes_on_with_the_fields_default(tmp_path):
    config = complete(default_config())
    older = config.to_dict()
    del older["task"]["auxiliary_weight"], older["network"]["pooling"]
    (tmp_path / "config.json").write_text(json.dumps(older))
    Workdir(tmp_path).check(config)
    config.task.auxiliary_weight = 0.5
    with pytest.raises(InvalidValue, match=r"another config \(task.auxiliary_weight is 0.3 there and 0.5 here\)"):
        Workdir(tmp_path).check(config)
