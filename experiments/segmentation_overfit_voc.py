"""Overfitting sanity check on three photographs: reader, network, loss and metrics fit together.

    apt-get download labelme-examples && dpkg -x labelme-examples_*.deb labelme
    python launch.py train --config=experiments/segmentation_overfit_voc.py --workdir=runs/overfit --data_dir=\
labelme/usr/share/doc/labelme-examples/examples/semantic_segmentation/data_dataset_voc

The photographs are of PASCAL VOC 2011, in Debian's package labelme-examples. They are both the training and the
test set, each at its own size, so the mean IU only says how well they are remembered: 0.956.
"""

from ml_collections import ConfigDict

from convnets.data.voc import CLASSES as OBJECTS
from convnets.training.config import default_config

CLASSES = ("background", *OBJECTS)


def get_config() -> ConfigDict:
    """Fields that `launch.py --config` reads."""
    config = default_config()
    # The bottle and the car are few pixels.
    weights = tuple({"bottle": 20.0, "car": 5.0}.get(name, 1.0) for name in CLASSES)
    config.task = {"name": "segmentation", "head": "encoder_decoder", "class_weights": weights}
    config.data = {"name": "voc", "train": "all", "test": "all", "evaluation_size": 0, "size": 320, "scale": (1.0, 1.1)}
    config.validation.examples = 0
    config.network = {"name": "resnet18", "width": 0.5}
    config.normalization.mean = (0.485, 0.456, 0.406)
    config.normalization.std = (0.229, 0.224, 0.225)
    # Each batch has all of the data, whose statistics evaluation is to find.
    config.batch_norm.momentum = 0.8
    config.optimizer = {"name": "adamw", "learning_rate": 3e-3, "weight_decay": 0.0}
    config.schedule = {"name": "cosine", "warmup": "20 steps"}
    config.train.batch_size = 3
    config.train.duration = "600 steps"
    config.evaluation.batch_size = 3
    config.evaluation.checkpoint = "last"
    config.log.every = "25 steps"
    return config
