"""Networks of each family for small images learn from Fashion-MNIST: a short real run of the training step."""

import jax
import numpy as np
import pytest
from stripes import config_of, run_steps

from convnets import data
from convnets.data.views import Subset

WIDTH = 1 / 8
LEARNING_RATES = {
    "lenet5": 3e-3,
    "alexnet": 2e-3,
    "vgg11": 2e-3,
    "resnet18": 3e-3,
    "plain20": 3e-3,
}
"""One of each family, narrow where a network has a width."""


@pytest.mark.parametrize(("name", "rate"), LEARNING_RATES.items())
def test_the_training_loss_falls(name, rate):
    """On 32 images in batches of 16, without dropout: from the logarithm of ten classes, or above, to well below it."""
    source = Subset(data.create("fashion_mnist", "train"), np.arange(32))
    config = config_of({"train.batch_size": 16}, network=name, optimizer="adamw")
    config.optimizer.learning_rate, config.optimizer.weight_decay = rate, 0.0
    config.normalization.mean, config.normalization.std = (0.2190,), (0.3318,)
    if "width" in config.network and name != "plain20":
        config.network.width = WIDTH
    if "stem" in config.network:
        config.network.stem = "small"
    for dropout in {"dropout", "auxiliary_dropout"} & set(config.network):
        config.network[dropout] = 0.0
    if name == "plain20":
        config.network.remat = True
    _, figures = run_steps(config, 14, jax.devices()[:1], source=source)
    losses = figures["loss"] / figures["weight"]
    print(name, losses.round(2))
    assert losses[:2].mean() > 0.95 * np.log(10)
    assert losses[-4:].mean() < 0.85 * np.log(10)
