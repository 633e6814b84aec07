"""Each network for small images learns from Fashion-MNIST: a short real run of the training step."""

import jax
import numpy as np
import pytest
from stripes import config_of, run_steps

from convnets import data
from convnets.data.views import Subset

LEARNING_RATES = {
    "lenet5": 3e-3,
    "lenet5_bn": 3e-3,
    "alexnet": 1e-4,
    "vgg11": 1e-4,
    "vgg13_bn": 3e-4,
    "googlenet": 3e-4,
    "googlenet_bn": 1e-3,
    "resnet18": 1e-3,
    "plain18": 1e-3,
    "resnet20": 3e-3,
    "plain20": 3e-3,
}


@pytest.mark.parametrize(("name", "rate"), LEARNING_RATES.items())
def test_the_training_loss_falls(name, rate):
    """On 32 images in batches of 16, without dropout: from the logarithm of ten classes, or above, to well below it."""
    source = Subset(data.create("fashion_mnist", "train"), np.arange(32))
    config = config_of({"train.batch_size": 16}, network=name, optimizer="adamw")
    config.optimizer.learning_rate, config.optimizer.weight_decay = rate, 0.0
    config.normalization.mean, config.normalization.std = (0.2190,), (0.3318,)
    if "stem" in config.network:
        config.network.stem = "small"
    for dropout in {"dropout", "auxiliary_dropout"} & set(config.network):
        config.network[dropout] = 0.0
    if name == "plain20":
        config.network.remat = True
    steps = 20 if name == "googlenet" else 14
    _, figures = run_steps(config, steps, jax.devices()[:1], source=source)
    losses = figures["loss"] / figures["weight"]
    print(name, losses.round(2))
    assert losses[:2].mean() > 0.95 * np.log(10)
    assert losses[-4:].mean() < 0.85 * np.log(10)
