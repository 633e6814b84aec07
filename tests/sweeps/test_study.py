"""A sweep as a study of Optuna's: what is queued, drawn and resumed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from optuna.trial import TrialState
from small_sweeps import RATE, small_sweep

from convnets.sweeps.space import choice, integers, log_uniform
from convnets.sweeps.study import (
    ALONE,
    ERROR,
    RETRIES,
    WORKER,
    close_all_killed,
    close_killed,
    number_of,
    open_study,
    ready_study,
    requeue,
    values_of,
)
from convnets.sweeps.trials import COMPLETE, FAILED, RUNNING, WAITING, trials_of

# Optuna's warning to those who ask for trials without optimize().
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")
MIXES = ((("flip", {}),), ())


def test_fixed_trials_are_queued_once_and_come_in_their_order_with_their_own_values(tmp_path):
    sweep = small_sweep(tmp_path, *({"augmentation": mix, "seed": seed} for mix in MIXES for seed in (0, 1)))
    ready_study(sweep)
    study = ready_study(sweep)
    assert [values_of(study.ask(), sweep) for _ in range(4)] == list(sweep.space.fixed)
    assert [trial.values for trial in trials_of(study, sweep)] == list(sweep.space.fixed)
    assert {trial.state for trial in trials_of(study, sweep)} == {RUNNING}


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


def test_what_resumes_a_trial_has_its_number_its_values_and_its_workdir(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: log_uniform(0.01, 0.1)}, trials=9)
    study = ready_study(sweep)
    first = study.ask()
    values = values_of(first, sweep)
    first.set_user_attr(WORKER, ALONE)
    first.report(0.7, 1)
    close_all_killed(study)
    (trial,) = trials_of(study, sweep)
    assert (trial.number, trial.state, trial.values, trial.value) == (0, WAITING, values, 0.7)
    again = study.ask()
    assert again.number == 1 and values_of(again, sweep) == values
    study.tell(again, 0.9)
    (trial,) = trials_of(study, sweep)
    assert (trial.number, trial.state, trial.value) == (0, COMPLETE, 0.9)
    assert trial.folder == tmp_path / "trials" / "0000"
    values_of(study.ask(), sweep)
    assert [trial.number for trial in trials_of(study, sweep)] == [0, 1], "numbers of trials have no gaps"
    assert number_of(study, 2) == 1


def test_a_trial_that_was_killed_before_it_had_its_values_is_resumed_with_those_that_were_fixed(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05}, {RATE: log_uniform(0.01, 0.1)}, trials=2)
    study = ready_study(sweep)
    study.ask()
    close_killed(study, 0)
    assert values_of(study.ask(), sweep) == {RATE: 0.05}


def test_a_trial_without_a_worker_is_closed_and_one_of_another_worker_is_not(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05}, {RATE: 0.06})
    study = ready_study(sweep)
    study.ask().set_user_attr(WORKER, "node7 job 12")
    study.ask()
    close_all_killed(study)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING, TrialState.FAIL, TrialState.WAITING]


def test_it_is_resumed_once_however_many_notice(tmp_path):
    study = ready_study(small_sweep(tmp_path, {RATE: 0.05}))
    study.ask()
    close_killed(study, 0)
    requeue(study, study.trials[0])
    assert len(study.trials) == 2


def test_a_trial_that_kills_its_workers_is_given_up_and_begun_again_by_retry_alone(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05})
    study = ready_study(sweep)
    for number in range(RETRIES + 1):
        study.ask()
        close_killed(study, number)
    (trial,) = trials_of(study, sweep)
    assert (trial.state, trial.error) == (FAILED, "its worker was killed 4 times")
    ready_study(sweep)
    assert trials_of(study, sweep)[0].state == FAILED
    ready_study(small_sweep(tmp_path, {RATE: 0.05}, retry=True))
    assert trials_of(study, sweep)[0].state == WAITING


def test_the_error_of_a_failed_trial_is_gone_once_it_is_begun_again(tmp_path):
    sweep = small_sweep(tmp_path, {RATE: 0.05}, retry=True)
    study = ready_study(sweep)
    study.ask().set_user_attr(ERROR, "no data")
    study.tell(0, state=TrialState.FAIL)
    assert trials_of(study, sweep)[0].error == "no data"
    ready_study(sweep)
    (trial,) = trials_of(study, sweep)
    assert (trial.state, trial.error) == (WAITING, "")
