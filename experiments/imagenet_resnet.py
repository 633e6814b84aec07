"""ResNets on ImageNet (He, Zhang, Ren and Sun 2016): ResNet-18, 34, 50, 101 or 152, or the plain net of 34 layers.

    python launch.py prepare imagenet2012
    python launch.py train --config=experiments/imagenet_resnet.py:50 --workdir=runs/resnet50
    python launch.py evaluate --workdir=runs/resnet50 --config.data.evaluation_size=640 \
        --config.evaluation.protocol=multi_scale

or from folders, /data/imagenet/train and /data/imagenet/val with a folder for each class:

    python launch.py train --config=experiments/imagenet_resnet.py:50 --workdir=runs/resnet50 \
        --config.data.name=image_folder --data_dir=/data/imagenet

The short side is drawn from [256, 480]; 224 x 224 crops, mirrored, with colours offset along ImageNet's principal
components; He initialization, batch norm after every convolution, no dropout; the rate 0.1 divided by 10 when the
validation error plateaus, up to 60e4 steps of 256. Weight decay is the paper's 1e-4, which holds for biases and the
scales of batch norm as well (the lecture's: `--config.optimizer.weight_decay=1e-5`). The plateau goes by 10,000 of
the 1.28 million training images, held out.

Compared with: top-1 and top-5 errors in % on the validation set. By ten crops (tables 2 and 3 of the paper), as the
test split is evaluated at the end: plain34 28.54, 10.02; 18 27.88 (top-1); 34 24.52, 7.46; 50 22.85, 6.71; 101
21.75, 6.05; 152 21.43, 5.71. By several scales (table 4; fully convolutional, where `multi_scale` takes the
lecture's ten crops at each of the five): 34 21.84, 5.71; 50 20.74, 5.25; 101 19.87, 4.60; 152 19.38, 4.49.

Memory of the batch of 256: 18 about 5.4 GB, 34 8.1, 50 22.2, 101 32.9, 152 46.0, plain34 7.8, an eighth of the
responses on each of eight devices (50: 3.0 GB). Parameters, gradients and momentum take 12 bytes each (50: 0.3 GB),
and the responses of all layers 20.7 to 177 MB an image (`launch.py summarize resnet50`);
`--config.network.remat=True` keeps fewer.
"""

from ml_collections import ConfigDict

from convnets.augment.colour import IMAGENET_COMPONENTS
from convnets.errors import InvalidValue
from convnets.training.config import default_config

# word of the command line -> network
NETWORKS = {
    "18": "resnet18",
    "34": "resnet34",
    "50": "resnet50",
    "101": "resnet101",
    "152": "resnet152",
    "plain34": "plain34",
}


def get_config(network: str = "50") -> ConfigDict:
    """The experiment with a network of `NETWORKS`.

    Raises:
      InvalidValue: another word.
    """
    if network not in NETWORKS:
        raise InvalidValue(f"the network {network!r} is not one of {', '.join(NETWORKS)}")
    config = default_config()
    config.data.name = "tfds"
    config.data.dataset = "imagenet2012"
    config.data.crop = "scaled"
    config.data.size = 224
    config.data.scale = (256 / 224, 480 / 224)
    config.data.evaluation_size = 256
    config.validation.examples = 10_000
    config.normalization.mean = (0.485, 0.456, 0.406)
    config.normalization.std = (0.229, 0.224, 0.225)
    config.augmentation = (("flip", {}), ("pca_colour", {"deviation": 0.1, "components": IMAGENET_COMPONENTS}))

    config.network.name = NETWORKS[network]

    config.optimizer.learning_rate = 0.1
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 1e-4
    config.optimizer.decay_bias_and_norm = True
    config.schedule.name = "plateau"
    config.schedule.factor = 0.1

    config.train.batch_size = 256
    config.train.duration = "600000 steps"
    config.evaluation.protocol = "ten_crop"
    config.evaluation.batch_size = 256
    config.loader.threads = 16
    return config
