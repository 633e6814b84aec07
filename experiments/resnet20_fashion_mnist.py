"""ResNet-20 on Fashion-MNIST.

    python launch.py train --config=experiments/resnet20_fashion_mnist.py --workdir=runs/resnet20

The paper's network for small images (He et al. 2015, section 4.2) with its optimizer and augmentation (images mirrored,
padded by 4 pixels and cropped), but a short cosine schedule in place of 64,000 steps.
"""

from ml_collections import ConfigDict

from convnets.training.config import default_config


def get_config() -> ConfigDict:
    """The experiment's fields; all others are `default_config`'s."""
    config = default_config()
    config.data.name = "fashion_mnist"
    config.normalization.mean = (0.2190,)
    config.normalization.deviation = (0.3318,)
    config.augmentation = (("flip", {}), ("pad_and_crop", {"padding": 4}))

    config.network.name = "resnet20"

    config.optimizer.learning_rate = 0.1
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "cosine"
    config.schedule.warmup = "100 steps"

    config.train.batch_size = 128
    config.train.duration = "4 epochs"
    # The rate ends near zero, so the last state is the settled one; choosing by 5,000 examples would add noise.
    config.evaluation.checkpoint = "last"
    return config
