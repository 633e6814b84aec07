"""The three ways in which `launch.py transfer` trains an experiment."""

import pytest
from trained_networks import trained

from convnets.cli.probe import Probed
from convnets.cli.transfer import RATES, ways_to_train
from convnets.data.source import ArraySource, Splits
from convnets.training.config import default_config

FROZEN = {
    "freeze.below": "stage2",
    "freeze.layers": ("conv2",),
    "freeze.schedule": (("0 steps", "logits"), ("1 steps", "")),
    "optimizer.rates": (("conv1", 0.5),),
    "optimizer.depth_decay": 0.7,
}
BEGUN = {
    "initialize.workdir": "runs/lenet",
    "initialize.checkpoint": "last",
    "initialize.layers": ("conv*",),
    "initialize.head": "new",
    "initialize.stem": "adapt",
    "initialize.deepen": True,
    "initialize.allow": ("fc3",),
}


@pytest.fixture(scope="module")
def ways():
    """Of an experiment that freezes and begins in its own way; its data are not looked at."""
    network = trained("lenet5", 32, 1)
    network.config.update_from_flattened_dict(FROZEN | BEGUN | {"optimizer.weight_decay": 0.25, "seed": 3})
    nothing: ArraySource | None = None
    return ways_to_train(Probed(network.config, network.model, Splits(nothing, nothing, nothing), {}, "runs/lenet"))


def test_nothing_of_the_experiments_own_freezing_is_left_in_any(ways):
    assert list(ways) == ["last stages", "all stages", "from scratch"]
    for name, config in ways.items():
        assert config.freeze.layers == () and config.freeze.schedule == () and config.optimizer.depth_decay == 1, name
    assert {name: config.freeze.below for name, config in ways.items()} == {
        "last stages": "pre_logits",
        "all stages": "",
        "from scratch": "",
    }
    assert ways["last stages"].optimizer.rates == ways["all stages"].optimizer.rates == RATES
    assert ways["from scratch"].optimizer.rates == ()


def test_from_scratch_begins_with_nothing_and_the_others_as_the_experiment_does(ways):
    assert ways["from scratch"].initialize.to_dict() == default_config().initialize.to_dict()
    for name in ("last stages", "all stages"):
        begun = {f"initialize.{field}": value for field, value in ways[name].initialize.items()}
        assert begun == BEGUN | {"initialize.weights": "", "initialize.architecture": ""}


def test_the_rest_is_the_experiments(ways):
    for config in ways.values():
        assert (config.seed, config.optimizer.weight_decay, config.network.name) == (3, 0.25, "lenet5")
