"""What Tune is given, and what the study is told, without a cluster."""

import signal
from types import SimpleNamespace

import optuna
import pytest
from small_sweeps import small_sweep

from convnets.sweeps import trials as states
from convnets.sweeps.space import log_uniform
from convnets.sweeps.study import ready_study, trials_of
from convnets.training.interruption import Interruption

pytest.importorskip("ray.tune", reason="Ray is not installed: pip install -r requirements-ray.txt")
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from convnets.sweeps.engines import ray_search
from convnets.sweeps.engines.ray_search import InterruptionStopper, StudyScheduler, StudySearch

RATE = "optimizer.learning_rate"


def result(*evaluations, finished=False, error=""):
    return {"evaluations": evaluations, "steps": 30, "finished": finished, "error": error}


class AfterTheSecond(optuna.pruners.BasePruner):
    """Prunes at the second evaluation, and at every later one."""

    def prune(self, study, trial):
        return len(trial.intermediate_values) >= 2


@pytest.fixture
def searched(tmp_path):
    """Of the sweep given: its search, and a function that says how the trials stand."""

    def begin(*yielded, **more):
        sweep = small_sweep(tmp_path, *yielded, **more)
        study = ready_study(sweep)
        study.pruner = AfterTheSecond()
        return StudySearch(study, sweep, Interruption()), lambda: trials_of(study, sweep)

    return begin


def test_fixed_trials_are_given_once_each_and_then_no_more(searched):
    search, _ = searched({RATE: 0.1, "seed": 3}, {RATE: 0.2, "seed": 4})
    assert search.suggest("a") == {"number": 0, "values": {RATE: 0.1, "seed": 3}}
    assert search.suggest("b") == {"number": 1, "values": {RATE: 0.2, "seed": 4}}
    assert search.suggest("c") is None, "trials that run may still have to be waited for"
    for name in "ab":
        search.on_trial_complete(name, result((30, 0.5), finished=True))
    assert search.suggest("c") == Searcher.FINISHED


def test_a_search_gives_as_many_as_were_asked_for(searched):
    search, trials = searched({RATE: log_uniform(0.01, 0.1)}, trials=2)
    given = [search.suggest(name) for name in "ab"]
    assert [each["number"] for each in given] == [0, 1]
    assert all(0.01 <= each["values"][RATE] <= 0.1 for each in given)
    assert [trial.values for trial in trials()] == [each["values"] for each in given]
    assert search.suggest("c") is None


def test_a_trial_that_went_on_from_a_checkpoint_is_told_once_of_each_evaluation(searched):
    search, trials = searched({"seed": 0})
    search.suggest("a")
    search.is_to_prune("a", result((10, 0.5)))
    # It was lost, and tells again of what it did before.
    search.on_trial_complete("a", result((10, 0.5), (20, 0.8), (30, 0.7), finished=True))
    (trial,) = trials()
    assert (trial.state, list(trial.history), trial.value) == (states.COMPLETE, [0.5, 0.8, 0.7], 0.8)
    assert (trial.step, trial.steps) == (30, 30)


@pytest.mark.parametrize(("steps", "decision"), [((10, 20), "STOP"), ((10,), "CONTINUE"), ((10, 30), "CONTINUE")])
def test_the_studys_pruner_stops_trials_but_none_after_its_last_evaluation(searched, steps, decision):
    search, _ = searched({"seed": 0})
    search.suggest("a")
    reported = result(*((step, 0.5) for step in steps))
    answer = StudyScheduler(search).on_trial_result(None, SimpleNamespace(trial_id="a"), reported)
    assert answer == getattr(TrialScheduler, decision)


def test_a_trial_that_goes_on_is_not_judged_again_for_what_it_told_before(searched):
    search, _ = searched({"seed": 0})
    search.suggest("a")
    search.is_to_prune("a", result((10, 0.5), (20, 0.5)))
    search.leave_the_rest()
    search.suggest("b")
    assert not search.is_to_prune("b", result((10, 0.5), (20, 0.5)))
    assert search.is_to_prune("b", result((10, 0.5), (20, 0.5), (25, 0.5)))


def test_a_pruned_trial_is_waited_for_until_it_has_saved(searched, monkeypatch):
    search, trials = searched({"seed": 0})
    search.suggest("a")
    search.on_trial_complete("a", result((10, 0.5), (20, 0.5)))
    (trial,) = trials()
    assert (trial.state, trial.value) == (states.PRUNED, 0.5)
    monkeypatch.setattr(ray_search, "trains_in", lambda folder: folder == trial.folder)
    assert search.suggest("b") is None
    monkeypatch.setattr(ray_search, "trains_in", lambda folder: False)
    assert search.suggest("b") == Searcher.FINISHED


def test_errors_are_recorded(searched):
    search, trials = searched({"seed": 0}, {"seed": 1})
    search.suggest("a")
    search.on_trial_complete("a", result(error="the loss is nan"))
    search.suggest("b")
    lost = SimpleNamespace(trial_id="b", num_failures=4, get_pickled_error=lambda: None)
    search.on_trial_complete("b", error=True)
    search.on_given_up(lost)
    assert [(trial.state, trial.error) for trial in trials()] == [
        (states.FAILED, "the loss is nan"),
        (states.FAILED, "its worker or its node was lost (4 times)"),
    ]


def test_an_interruption_stops_all_trials_and_leaves_them_to_be_gone_on_with(searched):
    search, trials = searched(*({"seed": seed} for seed in range(3)))
    stopper = InterruptionStopper(search)
    search.suggest("a")
    search.on_start("a")
    search.suggest("b")
    assert not stopper("a", result()) and not stopper.stop_all()
    search._interruption.signal = signal.SIGTERM
    assert search.suggest("c") is None and stopper("a", result())
    assert not stopper.stop_all(), "the one that runs has not saved yet"
    search.on_trial_complete("a", result((10, 0.5)))
    assert stopper.stop_all(), "with the one that still waits for a node"
    search.leave_the_rest()
    assert [trial.state for trial in trials()] == [states.WAITING] * 3
    assert list(trials()[0].history) == [0.5]


def test_after_an_interruption_new_trials_are_numbered_without_gaps(searched, tmp_path, monkeypatch):
    search, trials = searched({RATE: log_uniform(0.01, 0.1)}, trials=2)
    search.suggest("a")
    search._interruption.signal = signal.SIGTERM
    search.on_trial_complete("a", result((10, 0.5)))
    again, trials = searched({RATE: log_uniform(0.01, 0.1)}, trials=2)
    assert [again.suggest(name)["number"] for name in "ab"] == [0, 1]
    assert [trial.number for trial in trials()] == [0, 1]
    again.on_trial_complete("b", result((10, 0.5), (20, 0.5)))
    monkeypatch.setattr(ray_search, "trains_in", lambda folder: folder == tmp_path / "trials" / "0001")
    assert again._saves()
