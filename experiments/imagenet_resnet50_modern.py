"""ResNet-50 on ImageNet by later practice, for 600, 300 or 90 epochs; the longest aims at 80 %.

    python launch.py prepare imagenet2012
    python launch.py train --config=experiments/imagenet_resnet50_modern.py:600 --workdir=runs/resnet50_modern
    python launch.py evaluate --workdir=runs/resnet50_modern --config.data.evaluation_size=288 \
        --config.evaluation.protocol=dense --config.evaluation.scales="(1.285714,)"

or from folders, /data/imagenet/train and /data/imagenet/val with a folder for each class:

    python launch.py train --config=experiments/imagenet_resnet50_modern.py:600 --workdir=runs/resnet50_modern \
        --config.data.name=image_folder --data_dir=/data/imagenet

The stride in the 3x3 and blocks that begin as their shortcuts; Nesterov momentum in batches of 1,024, the rate in
proportion to the batch (Goyal et al. 2017), warmed up for 5 epochs and a cosine from there; weight decay 5e-5, of
kernels alone; parts of random area and shape, mirrored; mixup 0.2 and labels smoothed by 0.1; images that grow from
128 to 224 pixels (progressive resizing); averaged parameters; bfloat16. 10,000 of the 1.28 million training images
are held out to watch; the last checkpoint is tested.

Compared with: top-1 accuracy on the validation set by one 224 x 224 crop of 80.86 % for 600 epochs (torchvision's
second weights of ResNet-50; its recipe has TrivialAugment, cutmix, random erasing and repeated augmentation
besides), 78.4 % for 88 epochs (FFCV; at 256 pixels), and 76.13 % (torchvision's first weights, 90 epochs). The test
split is evaluated by the central crop of 256 at the end; the second command takes whole images of 288 pixels.

Memory of the batch of 1,024: about 46 GB, 6.2 GB on each of eight devices. Parameters, gradients, momentum and
average take 16 bytes each (0.4 GB), and the responses of all layers 44.9 MB an image of 224 pixels (`launch.py
summarize resnet50_v1_5 dtype=bfloat16`); `--config.train.gradient_accumulation=2` halves that.
"""

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.training.config import default_config

EPOCHS = ("600", "300", "90")

GROWTH = ((0.0, 128), (0.4, 160), (0.6, 192), (0.8, 224))
"""Part of the training from which images have that many pixels a side."""


def get_config(epochs: str = "600") -> ConfigDict:
    """The experiment for 600, 300 or 90 epochs.

    Raises:
      InvalidValue: another number of epochs.
    """
    if epochs not in EPOCHS:
        raise InvalidValue(f"the number of epochs {epochs!r} is not one of {', '.join(EPOCHS)}")
    config = default_config()
    config.data.name = "tfds"
    config.data.dataset = "imagenet2012"
    config.data.crop = "random_shape"
    config.data.area = (0.08, 1.0)
    config.data.size = 224
    config.data.evaluation_size = 256
    config.validation.examples = 10_000
    config.normalization.mean = (0.485, 0.456, 0.406)
    config.normalization.std = (0.229, 0.224, 0.225)
    config.augmentation = (("flip", {}), ("mixup", {"alpha": 0.2}))

    config.task.label_smoothing = 0.1
    config.network.name = "resnet50_v1_5"
    config.network.zero_init = True
    config.network.dtype = "bfloat16"

    config.optimizer.learning_rate = 0.1
    config.optimizer.reference_batch_size = 256
    config.optimizer.momentum = 0.9
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 5e-5
    config.schedule.name = "cosine"
    config.schedule.warmup = "5 epochs"

    config.train.batch_size = 1024
    config.train.duration = f"{epochs} epochs"
    config.train.resolutions = tuple((f"{int(epochs) * part:g} epochs", side) for part, side in GROWTH)
    config.train.average_decay = 0.9999
    config.evaluation.protocol = "centre_crop"
    config.evaluation.batch_size = 512
    config.evaluation.checkpoint = "last"
    config.loader.threads = 16
    return config
