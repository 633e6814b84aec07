"""What a trial tells Tune of its process, which is played back."""

import fcntl
import threading

import pytest
from small_sweeps import small_sweep

from convnets.errors import InvalidValue

pytest.importorskip("ray.tune", reason="Ray is not installed: pip install -r requirements-ray.txt")
from convnets.sweeps.engines import ray_trial
from convnets.sweeps.engines.ray_trial import RayTrial, trains_in
from convnets.sweeps.trial_process import LOCK_FILE


class Playback:
    """In the place of a trial's process, which has ended with `status`."""

    status: int | None = None
    refusal = ""
    steps = 30

    def __init__(self, folder, config, environment):
        if self.refusal:
            raise InvalidValue(self.refusal)
        self.folder, self.rate, self.environment, self.asked = folder, config.optimizer.learning_rate, environment, []

    def wait(self, seconds):
        self.asked.append(f"wait {seconds}")
        return self.status

    def new_evaluations(self):
        return [{"step": 10, "top1": 0.5, "loss": 2.0}]

    def stop(self):
        self.asked.append("stop")

    def error(self):
        return "its last line"


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begins trial 3 of a sweep in the place given, by default here."""
    monkeypatch.setattr(ray_trial, "TrialProcess", Playback)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep").mkdir()

    def trial(place=tmp_path, **played):
        for name, value in played.items():
            monkeypatch.setattr(Playback, name, value)
        begun = RayTrial.__new__(RayTrial)
        values = {"optimizer.learning_rate": 0.3}
        sweep = small_sweep(tmp_path / "sweep", values)
        begun.setup({"number": 3, "values": values}, sweep, {"XLA_FLAGS": "one"}, str(place))
        return begun

    return trial


def test_the_process_has_the_trials_values_and_workdir_and_ends_with_the_actor(begin, tmp_path):
    process = begin()._process
    assert process.folder == tmp_path / "sweep" / "trials" / "0003"
    assert process.rate == 0.3
    assert process.environment == {"XLA_FLAGS": "one"}


@pytest.mark.parametrize(
    ("status", "finished", "error"), [(None, False, ""), (0, True, ""), (1, False, "its last line")]
)
def test_results_have_the_evaluations_and_how_it_ended(begin, status, finished, error):
    told = {"evaluations": [(10, 0.5)], "steps": 30, "finished": finished, "error": error}
    assert begin(status=status).step() == told | {"done": status is not None}


@pytest.mark.parametrize("status", [-9, -15, 143])
def test_what_a_signal_ended_is_for_tune_to_start_again(begin, status):
    with pytest.raises(RuntimeError, match="its last line"):
        begin(status=status).step()


def test_what_is_refused_is_done(begin, tmp_path):
    result = begin(refusal="its workdir can't be written").step()
    assert (result["done"], result["error"]) == (True, "its workdir can't be written")
    result = begin(place=tmp_path / "nowhere").step()
    assert result["done"] and f"{tmp_path / 'nowhere'} is not on " in result["error"]


def test_only_what_still_runs_is_asked_to_save(begin):
    for status, asked in ((None, ["wait 0", "stop", "wait 600.0"]), (0, ["wait 0"])):
        trial = begin(status=status)
        trial.cleanup()
        assert trial._process.asked == asked


def test_it_waits_for_what_still_trains_in_the_workdir(begin, tmp_path, monkeypatch):
    folder = tmp_path / "sweep" / "trials" / "0003"
    assert not trains_in(folder)
    folder.mkdir(parents=True)
    with (folder / LOCK_FILE).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert trains_in(folder)
        saving = threading.Timer(0.3, fcntl.flock, (other, fcntl.LOCK_UN))
        saving.start()
        begin()
        assert saving.finished.is_set()
        assert not trains_in(folder)
