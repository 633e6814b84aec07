"""ResNet-20, 56 or 110, or a plain net of 20 or 56 layers, on CIFAR-10 (He et al. 2016, section 4.2).

    python launch.py prepare cifar10
    python launch.py train --config=experiments/cifar10_resnet.py:20 --workdir=runs/cifar10_resnet20

or from folders, /data/cifar10/train and /data/cifar10/test with a folder for each class:

    python launch.py train --config=experiments/cifar10_resnet.py:20 --workdir=runs/cifar10_resnet20 \
        --config.data.name=image_folder --data_dir=/data/cifar10 \
        --config.data.crop=centre --config.data.size=32 --config.data.evaluation_size=32

The paper's schedule: batches of 128, the rate 0.1 divided by 10 after 32,000 and 48,000 of 64,000 steps (warmed up
over 400 steps for 110 layers, where the paper's first 400 or so take 0.01), momentum 0.9, weight decay 1e-4 of all
parameters; images padded by 4, cropped and mirrored; shortcuts without parameters. It was chosen on 45,000 images
with 5,000 held out (`--config.validation.examples=5000`); by default all 50,000 are trained on, and the last
checkpoint is tested.

Compared with: errors in % of the 10,000 test images as they are (table 6): 20 8.75, 56 6.97, 110 6.43 (6.61 +- 0.16
over five); and plain56, whose training error stays above that of plain20 (figure 6).

Memory of the batch of 128 on one device: about 0.2 GB of 20 layers, 0.6 of 56, 1.1 of 110. Parameters, gradients
and momentum take 12 bytes each (110: 0.02 GB), and the responses of all layers 1.5, 4.3 and 8.4 MB an image
(`launch.py summarize resnet110`).
"""

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.training.config import default_config

# word of the command line -> network
NETWORKS = {"20": "resnet20", "56": "resnet56", "110": "resnet110", "plain20": "plain20", "plain56": "plain56"}


def get_config(network: str = "20") -> ConfigDict:
    """The experiment with a network of `NETWORKS`.

    Raises:
      InvalidValue: another word.
    """
    if network not in NETWORKS:
        raise InvalidValue(f"the network {network!r} is not one of {', '.join(NETWORKS)}")
    config = default_config()
    config.data.name = "tfds_in_memory"
    config.data.dataset = "cifar10"
    config.validation.examples = 0
    config.normalization.mean = (0.4914, 0.4822, 0.4465)
    config.normalization.std = (0.2470, 0.2435, 0.2616)
    config.augmentation = (("pad_and_crop", {"padding": 4}), ("flip", {}))

    config.network.name = NETWORKS[network]

    config.optimizer.learning_rate = 0.1
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 1e-4
    config.optimizer.decay_bias_and_norm = True
    config.schedule.name = "staircase"
    config.schedule.boundaries = ("32000 steps", "48000 steps")
    config.schedule.factor = 0.1
    if network == "110":
        config.schedule.warmup = "400 steps"

    config.train.batch_size = 128
    config.train.duration = "64000 steps"
    config.evaluation.checkpoint = "last"
    config.loader.threads = 16
    return config
