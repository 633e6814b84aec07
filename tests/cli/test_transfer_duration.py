"""How long `launch.py transfer` trains, and that a resumed one keeps to it."""

import pytest
from trained_networks import trained

from convnets.cli import transfer_duration
from convnets.cli.probe import Probed
from convnets.cli.transfer_duration import decide_duration, kept_duration
from convnets.data.source import Splits
from convnets.errors import InvalidValue
from convnets.parallel import Devices
from convnets.training.workdir import Workdir

SECONDS_A_STEP = 0.5


@pytest.fixture
def decide(tmp_path, monkeypatch):
    """`(duration of the experiment, budget in minutes, seconds of probing) -> duration`, for 100 examples."""
    monkeypatch.setattr(transfer_duration, "_seconds_a_step", lambda *_: SECONDS_A_STEP)
    network = trained("lenet5", 32, 1)

    def decided(duration: str, budget: int, probing: float = 0.0) -> str:
        network.config.train.update({"duration": duration, "batch_size": 10})
        probed = Probed(network.config, network.model, Splits(range(100), None, range(10)), {}, "")
        return decide_duration(probed, Devices("pmap"), Workdir(tmp_path), budget, probing)

    return decided


def asked(duration: str):
    config = trained("lenet5", 32, 1).config
    config.train.duration = duration
    return config


def test_without_a_budget_it_is_the_experiments(decide):
    assert decide("3 epochs", 0, 1e6) == "3 epochs"


def test_a_budget_is_what_the_probes_leave_in_three_parts(decide):
    # (60 - 30) / 3 seconds each.
    assert decide("1000 steps", 1, 30.0) == f"{10 / SECONDS_A_STEP:.0f} steps"


def test_a_large_budget_trains_no_longer_than_the_experiment(decide):
    assert decide("3 epochs", 600) == "30 steps"


def test_a_budget_that_the_probes_use_up_is_refused(decide, tmp_path):
    with pytest.raises(InvalidValue, match="--budget leaves 0 s for three trainings, which is under a step each"):
        decide("30 steps", 1, 90.0)
    assert list(tmp_path.iterdir()) == []


def test_what_was_decided_is_kept_for_a_call_that_asks_for_the_same(decide, tmp_path):
    workdir = Workdir(tmp_path)
    assert kept_duration(asked("30 steps"), workdir, 1) == ""
    assert decide("30 steps", 1, 30.0) == kept_duration(asked("30 steps"), workdir, 1) == "20 steps"


@pytest.mark.parametrize(("duration", "budget"), [("31 steps", 1), ("30 steps", 2), ("30 steps", 0)])
def test_another_duration_or_budget_in_the_same_workdir_is_refused(decide, tmp_path, duration, budget):
    decide("30 steps", 1, 30.0)
    with pytest.raises(InvalidValue, match=r"holds a transfer with --budget=1 and train.duration='30 steps': give the"):
        kept_duration(asked(duration), Workdir(tmp_path), budget)
