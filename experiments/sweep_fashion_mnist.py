"""A sweep of LeNet-5 on Fashion-MNIST over the network, optimizer, learning rate and weight decay, five epochs a trial.

    python launch.py sweep --config=experiments/sweep_fashion_mnist.py --workdir=runs/sweep --trials=24 --parallel=2

One trial alone, the starting point of the search:

    python launch.py train --config=experiments/sweep_fashion_mnist.py --workdir=runs/sweep_start

Hardware: 2 CPU cores. Time: 13 minutes, beside other work; 11 trials were complete and 13 pruned. Test accuracy of the
one that is best on the validation split: 0.9084, batch norm and AdamW at 0.0057; the starting point reaches 0.9006.
"""

from collections.abc import Iterator

from ml_collections import ConfigDict

from convnets.sweeps.space import Values, choice, log_uniform
from convnets.training.config import default_config


def get_config() -> ConfigDict:
    """The experiment's fields; all others are `default_config`'s."""
    config = default_config()
    config.data.name = "fashion_mnist"
    config.normalization.mean = (0.2190,)
    config.normalization.std = (0.3318,)
    config.augmentation = (("flip", {}),)

    config.network.name = "lenet5"
    config.network.pooling = "max"

    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.05
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "cosine"
    config.schedule.warmup = "0.5 epochs"

    config.train.batch_size = 128
    config.train.duration = "5 epochs"
    config.evaluation.checkpoint = "last"
    return config


def sweep() -> Iterator[Values]:
    """The recipe of `lenet_fashion_mnist.py` first, and then the space around it."""
    yield {
        "network.name": "lenet5",
        "optimizer.name": "sgd",
        "optimizer.learning_rate": 0.05,
        "optimizer.weight_decay": 5e-4,
    }
    yield {
        "network.name": choice("lenet5", "lenet5_bn"),
        "optimizer.name": choice("sgd", "adamw"),
        "optimizer.learning_rate": log_uniform(5e-4, 0.5),
        "optimizer.weight_decay": log_uniform(1e-5, 0.1),
    }
