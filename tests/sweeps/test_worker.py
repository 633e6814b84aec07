"""A worker runs what the study asks for, with trainings that are played back."""

import time

import optuna
import pytest
from small_sweeps import RATE, Playback, small_sweep

from convnets.sweeps import worker as worker_module
from convnets.sweeps.space import log_uniform
from convnets.sweeps.study import POINT, RETRIES, close_killed, open_study, ready_study
from convnets.sweeps.trial_process import Lost, StillTrains
from convnets.sweeps.trials import COMPLETE, FAILED, PRUNED, WAITING, trials_of
from convnets.sweeps.worker import UNMEASURED, Worker
from convnets.training.this_machine import Share


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(worker_module, "SECONDS_TO_WAIT", 0.05)


def finish(*workers: Worker, shares: int = 1) -> None:
    for each in workers:
        each.serve([Share()] * shares)
    for each in workers:
        each.join()
        if each.failure is not None:
            raise each.failure


@pytest.fixture
def swept(tmp_path):
    """Runs a sweep of what is yielded; returns its trials."""

    def run(playback, *yielded, pruner=None, shares=1, **more):
        sweep = small_sweep(tmp_path, *(yielded or [{"seed": 0}]), **more)
        study = ready_study(sweep)
        study.pruner = pruner or study.pruner
        finish(Worker(study, sweep, "a", playback), shares=shares)
        return trials_of(study, sweep)

    return run


def test_every_trial_is_run_once_and_no_more_at_once_than_there_are_shares(swept):
    playback = Playback(together=2)
    found = swept(playback, *({"seed": seed} for seed in range(5)), shares=2)
    assert sorted(playback.begun) == [f"{number:04}" for number in range(5)]
    assert playback.most == 2
    for trial in found:
        assert (trial.state, trial.value, trial.step, trial.steps) == (COMPLETE, 0.7, 30, 30)
        assert list(trial.history) == [0.5, 0.6, 0.7]


def test_two_workers_share_a_search_and_begin_no_trial_too_many(tmp_path):
    sweep, playback = small_sweep(tmp_path, {RATE: log_uniform(0.04, 0.1)}, trials=5), Playback()
    ready_study(sweep)
    workers = [Worker(open_study(sweep, i), sweep, str(i), playback) for i in range(2)]
    finish(*workers, shares=2)
    found = trials_of(workers[0].study, sweep)
    assert len(found) == len(playback.begun) == 5
    assert {trial.state for trial in found} == {COMPLETE}


def test_a_trial_too_many_is_none_of_the_sweeps(tmp_path):
    sweep, playback = small_sweep(tmp_path, {RATE: log_uniform(0.04, 0.1)}, trials=1), Playback()
    study = ready_study(sweep)
    finish(Worker(study, sweep, "a", playback))
    # As if another worker had looked before the first trial was begun.
    late = Worker(study, sweep, "b", playback)
    late._work = iter(["begin", "done"]).__next__
    finish(late)
    assert len(study.trials) == 2 and len(trials_of(study, sweep)) == len(playback.begun) == 1


def test_a_fixed_trial_that_is_queued_twice_is_run_once(tmp_path):
    sweep, playback = small_sweep(tmp_path, {"seed": 0}, {"seed": 1}), Playback()
    study = ready_study(sweep)
    study.enqueue_trial({"seed": 1}, user_attrs={POINT: 1})
    finish(Worker(study, sweep, "a", playback))
    assert playback.begun == ["0000", "0001"]
    assert [trial.values for trial in trials_of(study, sweep)] == list(sweep.space.fixed)


def test_failures_are_recorded_and_the_others_go_on(swept):
    found = swept(Playback(), *({RATE: rate} for rate in (0.02, 0.03, 0.04)))
    assert [(trial.state, trial.error) for trial in found] == [
        (FAILED, "its last line"),
        (FAILED, "this one can't be begun"),
        (COMPLETE, ""),
    ]


@pytest.mark.parametrize("status", [143, 130, -15, -2, StillTrains("on node7"), Lost("the node is gone")])
def test_a_training_that_others_have_stopped_still_trains_or_is_lost_is_resumed(swept, status):
    playback = Playback(statuses=[status])
    assert [trial.state for trial in swept(playback)] == [COMPLETE]
    assert playback.begun == ["0000", "0000"]


def test_a_trial_that_is_lost_again_and_again_is_given_up(swept):
    playback = Playback(statuses=[Lost(f"node{number}") for number in range(9)])
    (trial,) = swept(playback)
    assert len(playback.begun) == RETRIES + 1
    assert (trial.state, trial.error) == (FAILED, "its worker was killed 4 times, the last time node3")


@pytest.mark.parametrize("seen", [1, 3])
def test_a_trial_that_others_have_closed_is_stopped_and_resumed(tmp_path, monkeypatch, seen):
    sweep, playback = small_sweep(tmp_path, {"seed": 0}, {"seed": 1}), Playback()
    study = ready_study(sweep)
    worker = Worker(study, sweep, "a", playback)
    report = worker._report

    def report_until_closed(trial, record, history, steps):
        report(trial, record, history, steps)
        if trial.number == 0 and len(history) == seen:
            close_killed(study, 0)

    monkeypatch.setattr(worker, "_report", report_until_closed)
    finish(worker)
    assert [trial.state for trial in trials_of(study, sweep)] == [COMPLETE] * 2
    assert playback.begun == ["0000", "0001", "0000"]
    assert playback.stopped == (["0000"] if seen == 1 else [])


def test_a_stopped_worker_has_its_trials_saved_and_queued_and_begins_no_others(tmp_path):
    playback = Playback(never_ends=True)
    sweep = small_sweep(tmp_path, *({"seed": seed} for seed in range(4)))
    study = ready_study(sweep)
    worker = Worker(study, sweep, "a", playback)
    worker.serve([Share(), Share()])
    while len(playback.begun) < 2:
        time.sleep(0.01)
    worker.stop()
    worker.join()
    assert sorted(playback.stopped) == ["0000", "0001"]
    assert [trial.state for trial in trials_of(study, sweep)] == [WAITING] * 4
    playback.never_ends = False
    finish(Worker(study, sweep, "a", playback))
    assert [trial.state for trial in trials_of(study, sweep)] == [COMPLETE] * 4
    assert sorted(playback.begun) == ["0000", "0000", "0001", "0001", "0002", "0003"]


class AfterTheSecond(optuna.pruners.BasePruner):
    """Prunes at the second evaluation, and at every later one; notes after how many it is asked."""

    def __init__(self):
        self.asked = []

    def prune(self, study, trial):
        self.asked.append(len(trial.intermediate_values))
        return len(trial.intermediate_values) >= 2


@pytest.mark.parametrize(("values", "state"), [((0.5, 0.6, 0.7), PRUNED), ((0.5, 0.6), COMPLETE)])
def test_what_is_pruned_is_stopped_but_not_after_its_last_evaluation(swept, values, state):
    playback = Playback(values)
    (trial,) = swept(playback, pruner=AfterTheSecond())
    assert (trial.state, trial.value, list(trial.history)) == (state, 0.6, [0.5, 0.6])
    assert playback.stopped == (["0000"] if state == PRUNED else [])


def test_a_trial_that_is_resumed_is_not_judged_again_for_what_it_reported_before(tmp_path):
    sweep = small_sweep(tmp_path, {"seed": 0})
    study = ready_study(sweep)
    with pytest.warns(UserWarning, match="Heartbeat"):
        study.ask().report(0.5, 1)
    close_killed(study, 0)
    study.pruner = AfterTheSecond()
    finish(Worker(study, sweep, "a", Playback()))
    assert study.pruner.asked == [2]


def test_what_ends_without_an_evaluation_has_failed(swept):
    assert [(trial.state, trial.error) for trial in swept(Playback(()))] == [(FAILED, UNMEASURED)]


def test_with_the_last_checkpoint_the_last_evaluation_counts(swept):
    found = swept(Playback((0.7, 0.6)), {"evaluation.checkpoint": "best"}, {"evaluation.checkpoint": "last"})
    assert [trial.value for trial in found] == [0.7, 0.6]


def test_where_the_storage_is_lost_the_trials_are_saved_and_the_error_is_told(tmp_path, monkeypatch):
    playback = Playback(never_ends=True)
    sweep = small_sweep(tmp_path, {"seed": 0}, {"seed": 1})
    worker = Worker(ready_study(sweep), sweep, "a", playback)

    def report(*_):
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(worker, "_report", report)
    with pytest.raises(RuntimeError, match="the database is gone"):
        finish(worker)
    assert playback.stopped == ["0000"] and not worker.alive
