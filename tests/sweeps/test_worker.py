"""A worker runs what the study asks for, with trainings that are played back."""

import threading
import time

import optuna
import pytest
from small_sweeps import small_sweep

from convnets.errors import InvalidValue
from convnets.sweeps import trials as states
from convnets.sweeps import worker as worker_module
from convnets.sweeps.devices import Slot
from convnets.sweeps.space import log_uniform
from convnets.sweeps.study import POINT, close, open_study, ready_study, trials_of
from convnets.sweeps.trial_process import StillTrains
from convnets.sweeps.worker import Worker

RATE = "optimizer.learning_rate"
SEARCH = {RATE: log_uniform(0.01, 0.1)}


class Playback:
    """In the place of a trial's process: an evaluation at each look, until it has ended or is stopped.

    What it is asked of is kept in `begun` and `stopped`, and how many there were at once in `most`.
    """

    begun: list[str]
    stopped: list[str]
    most: int
    values = (0.5, 0.6, 0.7)
    never_ends = False
    together = 1
    """None ends before so many have begun."""

    def __init__(self, folder, config, environment, cores):
        self.rate, self.name = config.optimizer.learning_rate, folder.name
        if self.rate == 0.03:
            raise InvalidValue("this one can't be begun")
        self.steps, self.told, self.asked = 10 * len(self.values), 0, False
        Playback.begun.append(self.name)
        Playback.running += 1
        Playback.most = max(Playback.most, Playback.running)
        self.status = None

    def wait(self, seconds=None):
        if self.status is None:
            time.sleep(0.02)
            may_end = len(Playback.begun) >= self.together and not self.never_ends
            ended = self.told == len(self.values) and may_end
            if self.asked or ended or self.rate == 0.02:
                self.status = 143 if self.asked else 1 if self.rate == 0.02 else 0
                Playback.running -= 1
        return self.status

    def new_evaluations(self):
        if self.asked or self.told == len(self.values):
            return []
        self.told += 1
        return [{"step": 10 * self.told, "top1": self.values[self.told - 1]}]

    def stop(self):
        self.asked = True
        Playback.stopped.append(self.name)

    def error(self):
        return "its last line"


@pytest.fixture(autouse=True)
def played_back(monkeypatch):
    Playback.begun, Playback.stopped, Playback.most, Playback.running = [], [], 0, 0
    monkeypatch.setattr(Playback, "never_ends", False)
    monkeypatch.setattr(worker_module, "TrialProcess", Playback)
    monkeypatch.setattr(worker_module, "SECONDS_TO_WAIT", 0.05)


def finish(*workers: Worker) -> None:
    for each in workers:
        each.start()
    for each in workers:
        each.join()
        if each.failure is not None:
            raise each.failure


def test_every_trial_is_run_once_and_no_more_at_once_than_there_are_slots(tmp_path, monkeypatch):
    monkeypatch.setattr(Playback, "together", 2)
    sweep = small_sweep(tmp_path, *({"seed": seed} for seed in range(5)))
    study = ready_study(sweep)
    finish(Worker(study, sweep, [Slot(), Slot()], "a"))
    assert sorted(Playback.begun) == [f"{number:04}" for number in range(5)]
    assert Playback.most == 2
    found = trials_of(study, sweep)
    assert {(trial.state, trial.value, trial.history, trial.step, trial.steps) for trial in map(_hashable, found)} == {
        (states.COMPLETE, 0.7, (0.5, 0.6, 0.7), 30, 30)
    }


def _hashable(trial):
    object.__setattr__(trial, "history", tuple(trial.history))
    return trial


def test_two_workers_share_a_search_and_begin_no_trial_too_many(tmp_path):
    sweep = small_sweep(tmp_path, SEARCH, trials=5)
    ready_study(sweep)
    workers = [Worker(open_study(sweep, i), sweep, [Slot(), Slot()], str(i)) for i in range(2)]
    finish(*workers)
    found = trials_of(workers[0].study, sweep)
    assert len(found) == len(Playback.begun) == 5
    assert {trial.state for trial in found} == {states.COMPLETE}


def test_a_trial_too_many_is_none_of_the_sweeps(tmp_path):
    sweep = small_sweep(tmp_path, SEARCH, trials=1)
    study = ready_study(sweep)
    worker = Worker(study, sweep, [Slot()], "a")
    finish(worker)
    # As if another worker had looked before the first trial was begun.
    late = Worker(study, sweep, [Slot()], "b")
    late._work = iter(["begin", "done"]).__next__
    finish(late)
    assert len(study.trials) == 2 and len(trials_of(study, sweep)) == len(Playback.begun) == 1


def test_a_fixed_trial_that_is_queued_twice_is_run_once(tmp_path):
    sweep = small_sweep(tmp_path, {"seed": 0}, {"seed": 1})
    study = ready_study(sweep)
    study.enqueue_trial({"seed": 1}, user_attrs={POINT: 1})
    finish(Worker(study, sweep, [Slot()], "a"))
    assert Playback.begun == ["0000", "0001"]
    assert [trial.values for trial in trials_of(study, sweep)] == list(sweep.space.fixed)


def test_failures_are_recorded_and_the_others_go_on(tmp_path):
    sweep = small_sweep(tmp_path, *({RATE: rate} for rate in (0.02, 0.03, 0.04)))
    study = ready_study(sweep)
    finish(Worker(study, sweep, [Slot()], "a"))
    assert [(trial.state, trial.error) for trial in trials_of(study, sweep)] == [
        (states.FAILED, "its last line"),
        (states.FAILED, "this one can't be begun"),
        (states.COMPLETE, ""),
    ]


def test_a_trial_that_still_trains_elsewhere_is_begun_again_later(tmp_path, monkeypatch):
    refusals = iter([StillTrains("on node7")])

    def begin(*given):
        for refusal in refusals:
            raise refusal
        return Playback(*given)

    monkeypatch.setattr(worker_module, "TrialProcess", begin)
    sweep = small_sweep(tmp_path, {"seed": 0})
    study = ready_study(sweep)
    finish(Worker(study, sweep, [Slot()], "a"))
    assert [trial.state for trial in trials_of(study, sweep)] == [states.COMPLETE]


@pytest.mark.parametrize("seen", [1, 3])
def test_a_trial_that_others_have_closed_is_stopped_and_gone_on_with(tmp_path, monkeypatch, seen):
    sweep = small_sweep(tmp_path, {"seed": 0}, {"seed": 1})
    study = ready_study(sweep)
    worker = Worker(study, sweep, [Slot()], "a")
    report = worker._report

    def report_until_closed(trial, record, history, steps):
        report(trial, record, history, steps)
        if trial.number == 0 and len(history) == seen:
            close(study, study.trials[0])

    monkeypatch.setattr(worker, "_report", report_until_closed)
    finish(worker)
    assert [trial.state for trial in trials_of(study, sweep)] == [states.COMPLETE] * 2
    assert Playback.begun == ["0000", "0001", "0000"]
    assert Playback.stopped == (["0000"] if seen == 1 else [])


@pytest.mark.parametrize("status", [143, 130, -15, -2])
def test_a_training_that_others_have_stopped_is_gone_on_with(tmp_path, monkeypatch, status):
    statuses = iter([status])
    wait = Playback.wait

    def ended(self, seconds=None):
        ends = wait(self, seconds)
        return ends if ends is None else next(statuses, ends)

    monkeypatch.setattr(Playback, "wait", ended)
    sweep = small_sweep(tmp_path, {"seed": 0})
    study = ready_study(sweep)
    finish(Worker(study, sweep, [Slot()], "a"))
    assert [trial.state for trial in trials_of(study, sweep)] == [states.COMPLETE]
    assert Playback.begun == ["0000", "0000"]


def test_a_stopped_worker_has_its_trials_saved_and_queued_and_begins_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(Playback, "never_ends", True)
    sweep = small_sweep(tmp_path, *({"seed": seed} for seed in range(4)))
    study = ready_study(sweep)
    worker = Worker(study, sweep, [Slot(), Slot()], "a")
    worker.start()
    while len(Playback.begun) < 2:
        time.sleep(0.01)
    worker.stop()
    worker.join()
    assert sorted(Playback.stopped) == ["0000", "0001"]
    assert [trial.state for trial in trials_of(study, sweep)] == [states.WAITING] * 4
    monkeypatch.setattr(Playback, "never_ends", False)
    finish(Worker(study, sweep, [Slot()], "a"))
    assert [trial.state for trial in trials_of(study, sweep)] == [states.COMPLETE] * 4
    assert sorted(Playback.begun) == ["0000", "0000", "0001", "0001", "0002", "0003"]


class AfterTheSecond(optuna.pruners.BasePruner):
    """Prunes at the second evaluation, and at every later one."""

    def prune(self, study, trial):
        return len(trial.intermediate_values) >= 2


@pytest.mark.parametrize(("values", "state"), [((0.5, 0.6, 0.7), states.PRUNED), ((0.5, 0.6), states.COMPLETE)])
def test_what_is_pruned_is_stopped_but_not_after_its_last_evaluation(tmp_path, monkeypatch, values, state):
    monkeypatch.setattr(Playback, "values", values)
    sweep = small_sweep(tmp_path, {"seed": 0})
    study = ready_study(sweep)
    study.pruner = AfterTheSecond()
    finish(Worker(study, sweep, [Slot()], "a"))
    (trial,) = trials_of(study, sweep)
    assert (trial.state, trial.value, list(trial.history)) == (state, 0.6, [0.5, 0.6])
    assert Playback.stopped == (["0000"] if state == states.PRUNED else [])


def test_what_ends_without_an_evaluation_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(Playback, "values", ())
    sweep = small_sweep(tmp_path, {"seed": 0})
    study = ready_study(sweep)
    finish(Worker(study, sweep, [Slot()], "a"))
    assert [(trial.state, trial.error) for trial in trials_of(study, sweep)] == [(states.FAILED, states.UNMEASURED)]


class Asked(optuna.pruners.BasePruner):
    """Notes after how many evaluations it is asked."""

    def __init__(self):
        self.after = []

    def prune(self, study, trial):
        self.after.append(len(trial.intermediate_values))
        return False


def test_a_trial_that_goes_on_is_not_judged_again_for_what_it_told_before(tmp_path):
    sweep = small_sweep(tmp_path, {"seed": 0})
    study = ready_study(sweep)
    with pytest.warns(UserWarning, match="Heartbeat"):
        study.ask().report(0.5, 1)
    close(study, study.trials[0])
    study.pruner = Asked()
    finish(Worker(study, sweep, [Slot()], "a"))
    assert study.pruner.after == [2]


def test_with_the_last_checkpoint_the_last_evaluation_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(Playback, "values", (0.7, 0.6))
    sweep = small_sweep(tmp_path, {"evaluation.checkpoint": "best"}, {"evaluation.checkpoint": "last"})
    study = ready_study(sweep)
    finish(Worker(study, sweep, [Slot()], "a"))
    assert [trial.value for trial in trials_of(study, sweep)] == [0.7, 0.6]


def test_where_the_storage_is_lost_the_trials_are_saved_and_the_error_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Playback, "never_ends", True)
    sweep = small_sweep(tmp_path, {"seed": 0}, {"seed": 1})
    study = ready_study(sweep)
    worker = Worker(study, sweep, [Slot()], "a")
    lost = threading.Event()

    def report(*_):
        lost.set()
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(worker, "_report", report)
    worker.start()
    worker.join()
    assert lost.is_set() and Playback.stopped == ["0000"] and not worker.alive
    assert str(worker.failure) == "the database is gone"
