"""AlexNet on ImageNet (Krizhevsky, Sutskever and Hinton 2012).

    python launch.py prepare imagenet2012
    python launch.py train --config=experiments/imagenet_alexnet.py --workdir=runs/alexnet

or from folders, /data/imagenet/train and /data/imagenet/val with a folder for each class:

    python launch.py train --config=experiments/imagenet_alexnet.py --workdir=runs/alexnet \
        --config.data.name=image_folder --data_dir=/data/imagenet

The paper's net, in two groups and normalized before its pools (the lecture's table: `--config.network.groups=1
--config.network.lrn=after_pool`), on random 227 x 227 crops of the central 256 x 256 square, mirrored, with colours
offset along ImageNet's principal components. The plateau goes by 10,000 of the 1.28 million training images, held
out.

Compared with: errors of 40.7 % (top-1) and 18.2 % (top-5) of one net by ten crops on the validation set (table 1 of
the paper). The test split is evaluated so at the end.

Memory: about 1.4 GB on one device. Parameters, gradients and momentum take 12 bytes each (0.73 GB), and the
responses of all layers 5.0 MB an image (`launch.py summarize alexnet groups=2 lrn=before_pool`), 0.64 GB of the
batch of 128.
"""

from ml_collections import ConfigDict

from convnets.augment.colour import IMAGENET_COMPONENTS
from convnets.training.config import default_config


def get_config() -> ConfigDict:
    """The experiment's fields; all others are `default_config`'s."""
    config = default_config()
    config.data.name = "tfds"
    config.data.dataset = "imagenet2012"
    config.data.crop = "centre"
    config.data.size = 256
    config.data.evaluation_size = 256
    config.validation.examples = 10_000
    config.normalization.mean = (0.485, 0.456, 0.406)
    config.normalization.std = (0.229, 0.224, 0.225)
    config.augmentation = (
        ("random_crop", {"size": 227}),
        ("flip", {}),
        ("pca_colour", {"deviation": 0.1, "components": IMAGENET_COMPONENTS}),
    )

    config.network.name = "alexnet"
    config.network.groups = 2
    config.network.lrn = "before_pool"
    config.network.dropout = 0.5

    config.optimizer.learning_rate = 0.01
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "plateau"
    config.schedule.factor = 0.1

    config.train.batch_size = 128
    config.train.duration = "90 epochs"
    config.evaluation.protocol = "ten_crop"
    config.evaluation.batch_size = 512
    config.loader.threads = 16
    return config
