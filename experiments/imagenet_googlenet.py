"""GoogLeNet on ImageNet (Szegedy et al. 2015).

    python launch.py prepare imagenet2012
    python launch.py train --config=experiments/imagenet_googlenet.py --workdir=runs/googlenet
    python launch.py evaluate --workdir=runs/googlenet --config.data.evaluation_size=352 \
        --config.evaluation.protocol=googlenet_144

or from folders, /data/imagenet/train and /data/imagenet/val with a folder for each class:

    python launch.py train --config=experiments/imagenet_googlenet.py --workdir=runs/googlenet \
        --config.data.name=image_folder --data_dir=/data/imagenet

Parts of 8 to 100 % of the picture with sides from 3:4 to 4:3, mirrored, their colours changed; momentum 0.9; the
rate down by 4 % every 8 epochs; evaluated with averaged parameters; auxiliary losses weigh 0.3; dropout 0.4, and
0.7 in the auxiliary classifiers. The paper's asynchronous descent is a synchronous one here, and what it leaves
out, the rate, the weight decay, the batch of 32 and the 250 epochs, is that of Caffe's replication
(models/bvlc_googlenet/solver.prototxt). Larger batches (`--config.train.batch_size=256`) scale the rate in
proportion.

Compared with: top-5 errors of 10.07 % by one crop, 9.15 % by ten and 7.89 % by 144 on the validation set (table 3 of
the paper). Here images are served as their central squares, where the three squares of the 144 crops are one. The
test split is evaluated by one crop at the end, on the last checkpoint; 10,000 of the 1.28 million training images
are held out to watch.

Memory: about 0.9 GB on one device. Parameters, gradients, momentum and average take 16 bytes each (0.2 GB), and the
responses of all layers 21.9 MB an image (`launch.py summarize googlenet`), 0.7 GB of the batch of 32.
"""

from ml_collections import ConfigDict

from convnets.training.config import default_config


def get_config() -> ConfigDict:
    """The experiment's fields; all others are `default_config`'s."""
    config = default_config()
    config.data.name = "tfds"
    config.data.dataset = "imagenet2012"
    config.data.crop = "random_shape"
    config.data.area = (0.08, 1.0)
    config.data.aspect = (3 / 4, 4 / 3)
    config.data.size = 224
    config.data.evaluation_size = 256
    config.validation.examples = 10_000
    config.normalization.mean = (0.485, 0.456, 0.406)
    config.normalization.std = (0.229, 0.224, 0.225)
    config.augmentation = (("flip", {}), ("colour_jitter", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}))

    config.task.auxiliary_weight = 0.3
    config.network.name = "googlenet"
    config.network.dropout = 0.4
    config.network.auxiliary_dropout = 0.7

    config.optimizer.learning_rate = 0.01
    config.optimizer.reference_batch_size = 32
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 2e-4
    config.schedule.name = "exponential_staircase"
    config.schedule.every = "8 epochs"
    config.schedule.factor = 0.96

    config.train.batch_size = 32
    config.train.duration = "250 epochs"
    config.train.average_decay = 0.9999
    config.evaluation.protocol = "centre_crop"
    config.evaluation.batch_size = 256
    config.evaluation.checkpoint = "last"
    config.loader.threads = 16
    return config
