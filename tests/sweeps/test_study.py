"""A sweep as a study of Optuna's: what is queued, what goes on, and what a storage is told apart by."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from optuna.trial import TrialState
from small_sweeps import small_sweep
from sqlalchemy.exc import OperationalError

from convnets.errors import InvalidValue
from convnets.sweeps import storage
from convnets.sweeps import trials as states
from convnets.sweeps.engines.local import ALONE, close_what_was_killed, only_one
from convnets.sweeps.space import choice, integers, log_uniform
from convnets.sweeps.storage import storage_errors
from convnets.sweeps.study import (
    ERROR,
    RETRIES,
    WORKER,
    close,
    go_on_with,
    number_of,
    open_study,
    ready_study,
    trials_of,
    values_of,
)

# Optuna's warning to those who ask for trials without optimize().
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")
RATE = "optimizer.learning_rate"
MIXES = ((("flip", {}),), ())


def test_fixed_trials_are_queued_once_and_come_in_their_order_with_their_own_values(tmp_path):
    sweep = small_sweep(tmp_path, *({"augmentation": mix, "seed": seed} for mix in MIXES for seed in (0, 1)))
    ready_study(sweep)
    study = ready_study(sweep)
    assert [values_of(study.ask(), sweep) for _ in range(4)] == list(sweep.space.fixed)
    assert [trial.values for trial in trials_of(study, sweep)] == list(sweep.space.fixed)
    assert {trial.state for trial in trials_of(study, sweep)} == {states.RUNNING}


def test_of_several_that_are_started_together_one_queues_the_fixed_trials(tmp_path):
    sweep = small_sweep(tmp_path, *({"seed": seed} for seed in range(5)))
    open_study(sweep)
    with ThreadPoolExecutor() as threads:
        for begun in [threads.submit(ready_study, sweep) for _ in range(4)]:
            begun.result()
    assert len(open_study(sweep).trials) == 5


def test_a_search_begins_with_its_points_and_draws_what_they_leave_open(tmp_path):
    space = {RATE: log_uniform(0.01, 0.1), "augmentation": choice(*MIXES), "train.batch_size": integers(8, 16)}
    sweep = small_sweep(tmp_path, {RATE: 0.05, "augmentation": ()}, space, trials=9)
    study = ready_study(sweep)
    drawn = [values_of(study.ask(), sweep) for _ in range(9)]
    assert (drawn[0][RATE], drawn[0]["augmentation"]) == (0.05, ())
    assert all(0.01 <= values[RATE] <= 0.1 and values["augmentation"] in MIXES for values in drawn)
    assert {type(values["train.batch_size"]) for values in drawn} == {int}
    assert all(8 <= values["train.batch_size"] <= 16 for values in drawn)
    assert [trial.values for trial in trials_of(study, sweep)] == drawn


def test_a_sweep_that_is_started_again_draws_other_points_and_two_workers_too(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: log_uniform(0.01, 0.1)}, trials=9)
    drawn = []
    for worker in (0, 0, 1):
        study = ready_study(sweep, worker)
        drawn += [values_of(study.ask(), sweep)[RATE] for _ in range(2)]
    assert len(set(drawn)) == 6


def test_what_goes_on_has_the_number_the_values_and_the_workdir_of_the_first(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: log_uniform(0.01, 0.1)}, trials=9)
    study = ready_study(sweep)
    first = study.ask()
    values = values_of(first, sweep)
    first.set_user_attr(WORKER, ALONE)
    first.report(0.7, 1)
    close_what_was_killed(study)
    (trial,) = trials_of(study, sweep)
    assert (trial.number, trial.state, trial.values, trial.value) == (0, states.WAITING, values, 0.7)
    again = study.ask()
    assert again.number == 1 and values_of(again, sweep) == values
    study.tell(again, 0.9)
    (trial,) = trials_of(study, sweep)
    assert (trial.number, trial.state, trial.value) == (0, states.COMPLETE, 0.9)
    assert trial.folder == tmp_path / "trials" / "0000"
    values_of(study.ask(), sweep)
    assert [trial.number for trial in trials_of(study, sweep)] == [0, 1], "numbers of trials have no gaps"
    assert number_of(study, 2) == 1


def test_a_trial_that_was_killed_before_it_had_its_values_goes_on_with_those_that_were_fixed(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05}, {RATE: log_uniform(0.01, 0.1)}, trials=2)
    study = ready_study(sweep)
    study.ask()
    close(study, study.trials[0])
    assert values_of(study.ask(), sweep) == {RATE: 0.05}


def test_a_trial_that_was_killed_before_it_had_a_worker_is_gone_on_with_too(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05})
    study = ready_study(sweep)
    study.ask()
    close_what_was_killed(study)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_nobody_else_closes_a_trial_of_another_worker(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05})
    study = ready_study(sweep)
    study.ask().set_user_attr(WORKER, "node7 job 12")
    close_what_was_killed(study)
    assert study.trials[0].state is TrialState.RUNNING


def test_it_goes_on_once_however_many_notice(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05})
    study = ready_study(sweep)
    study.ask()
    close(study, study.trials[0])
    go_on_with(study, study.trials[0])
    assert len(study.trials) == 2


def test_a_trial_that_kills_its_workers_is_given_up_and_begun_again_by_retry_alone(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05})
    study = ready_study(sweep)
    for _ in range(RETRIES + 1):
        study.ask()
        close(study, study.trials[-1])
    (trial,) = trials_of(study, sweep)
    assert (trial.state, trial.error) == (states.FAILED, "its worker was killed 4 times")
    ready_study(sweep)
    assert trials_of(study, sweep)[0].state == states.FAILED
    ready_study(small_sweep(tmp_path, {RATE: 0.05}, retry=True))
    assert trials_of(study, sweep)[0].state == states.WAITING


def test_the_error_of_a_failed_trial_is_gone_once_it_is_begun_again(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05}, retry=True)
    study = ready_study(sweep)
    study.ask().set_user_attr(ERROR, "no data")
    study.tell(0, state=TrialState.FAIL)
    assert trials_of(study, sweep)[0].error == "no data"
    ready_study(sweep)
    (trial,) = trials_of(study, sweep)
    assert (trial.state, trial.error) == (states.WAITING, "")


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
