"""What a sweep's workdir and database belong to, and what is refused of them."""

import json
import sqlite3
from contextlib import closing

import pytest
from small_sweeps import RATE, small_sweep
from sqlalchemy.exc import OperationalError

from convnets.errors import InvalidValue
from convnets.sweeps import storage
from convnets.sweeps.space import log_uniform, uniform
from convnets.sweeps.storage import claim, keep_storage, only_one, storage_errors
from convnets.sweeps.study import open_study, ready_study


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


@pytest.mark.parametrize(
    ("storage", "sentence"),
    [
        ("sqlite:////nowhere/study.db", "unable to open database file"),
        ("study.db", "Could not parse"),
        ("nonsense://host/name", "nonsense"),
    ],
)
def test_a_storage_that_can_not_be_reached_is_refused_in_a_sentence(tmp_path, storage, sentence):
    sweep = small_sweep(tmp_path, {RATE: 0.05}, storage=storage)
    with pytest.raises(InvalidValue) as refusal:
        ready_study(sweep)
    assert sentence in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_password_of_a_storage_is_not_told(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05}, storage="postgresql://me:secret@host/name")
    with pytest.raises(InvalidValue) as refusal, storage_errors(sweep):
        raise OperationalError("select", {}, ConnectionError("no server"))
    assert "secret" not in str(refusal.value) and "postgresql://me:***@host/name" in str(refusal.value)


def test_an_error_of_a_worker_is_not_called_one_of_the_storage(tmp_path):
    with pytest.raises(ImportError), storage_errors(small_sweep(tmp_path, {RATE: 0.05})):
        raise ImportError("no module named PIL")


def test_a_storage_of_another_version_of_optuna_is_refused_in_a_sentence(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05})
    open_study(sweep)
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute("update alembic_version set version_num = 'v0.9.0.a'")
    with pytest.raises(InvalidValue, match="was made by another version of Optuna"):
        open_study(sweep)


def test_whoever_writes_to_sqlite_waits_for_the_others(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(storage, "RDBStorage", lambda *_, engine_kwargs: given.append(engine_kwargs["connect_args"]))
    for place in ("", "sqlite:///shared.db", "postgresql://host/name"):
        storage.connect(small_sweep(tmp_path, {RATE: 0.05}, storage=place))
    assert given == [{"timeout": 60.0}, {"timeout": 60.0}, {}]


def test_a_second_sweep_in_the_same_file_is_refused_and_one_of_a_shared_storage_is_not(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05})
    with only_one(sweep):
        with pytest.raises(InvalidValue, match=r"runs in .* already"), only_one(sweep):
            pass
        with only_one(small_sweep(tmp_path, {RATE: 0.05}, storage="sqlite:///shared.db")):
            pass
    with only_one(sweep):
        pass
