"""VGG on ImageNet (Simonyan and Zisserman 2015): net A, A_lrn, B, C, D or E, A before the others.

    python launch.py prepare imagenet2012
    for net in A D; do
      python launch.py train --config=experiments/imagenet_vgg.py:$net --workdir=runs/vgg_$net
    done

or from folders, /data/imagenet/train and /data/imagenet/val with a folder for each class:

    python launch.py train --config=experiments/imagenet_vgg.py:A --workdir=runs/vgg_A \
        --config.data.name=image_folder --data_dir=/data/imagenet

B to E begin with the first four convolutions and the fully connected layers of runs/vgg_A (section 3.1; another
run: `--config.initialize.workdir=DIR`; none: `--config.initialize.workdir= --config.initialize.layers="()"`). The
short side is S = 256 for A, A_lrn and B, and drawn from [256, 512] for C, D and E, as for their best figures; fixed
by `--config.data.scale="(1.142857,1.142857)"` (256) or `"(1.714286,1.714286)"` (384). The plateau goes by 10,000 of
the 1.28 million training images, held out.

Compared with: top-1 and top-5 errors in % on the validation set (table 3 of the paper), dense at a single scale, S
or 384: A 29.6, 10.4; A_lrn 29.7, 10.5; B 28.7, 9.9; C 27.3, 8.8; D 25.6, 8.1; E 25.5, 8.0. The test split is
evaluated so at the end; D and E by multi-crop and dense evaluation come to 24.4, 7.2 and 24.4, 7.1 (table 5):

    python launch.py evaluate --workdir=runs/vgg_D --config.data.evaluation_size=512 \
        --config.evaluation.protocol=multi_crop_and_dense --config.evaluation.scales="()"

Memory of the batch of 256: A about 10.8 GB, A_lrn 14.1, B 15.7, C 17.1, D 17.1, E 18.5, an eighth of the responses
on each of eight devices (D: 3.6 GB). Parameters, gradients and momentum take 12 bytes each (D: 1.7 GB), and the
responses of all layers 35.9 to 65.6 MB an image (`launch.py summarize vgg_d`); `--config.network.remat=True` keeps
fewer.
"""

from ml_collections import ConfigDict

from convnets.augment.colour import IMAGENET_COMPONENTS
from convnets.errors import InvalidValue
from convnets.training.config import default_config

# net -> smallest and largest S, and the single scale that its figure was taken at
SCALES = {
    "A": (256, 256, 256),
    "A_lrn": (256, 256, 256),
    "B": (256, 256, 256),
    "C": (256, 512, 384),
    "D": (256, 512, 384),
    "E": (256, 512, 384),
}
OF_NET_A = ("stage1_conv1", "stage2_conv1", "stage3_conv1", "stage3_conv2", "fc6", "fc7", "logits")
SIZE = 224


def get_config(net: str = "D") -> ConfigDict:
    """The experiment with net A, A_lrn, B, C, D or E.

    Raises:
      InvalidValue: another net.
    """
    if net not in SCALES:
        raise InvalidValue(f"the net {net!r} is not one of {', '.join(SCALES)}")
    smallest, largest, tested = SCALES[net]
    config = default_config()
    config.data.name = "tfds"
    config.data.dataset = "imagenet2012"
    config.data.crop = "scaled"
    config.data.size = SIZE
    config.data.scale = (smallest / SIZE, largest / SIZE)
    config.data.evaluation_size = tested
    config.validation.examples = 10_000
    config.normalization.mean = (0.485, 0.456, 0.406)
    config.normalization.std = (0.229, 0.224, 0.225)
    config.augmentation = (("flip", {}), ("pca_colour", {"deviation": 0.1, "components": IMAGENET_COMPONENTS}))

    config.network.name = f"vgg_{net.lower()}"
    config.network.dropout = 0.5
    if not net.startswith("A"):
        config.initialize.workdir = "runs/vgg_A"
        config.initialize.layers = OF_NET_A

    config.optimizer.learning_rate = 0.01
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "plateau"
    config.schedule.factor = 0.1

    config.train.batch_size = 256
    config.train.duration = "74 epochs"
    config.evaluation.protocol = "dense"
    config.evaluation.scales = (tested / SIZE,)
    config.evaluation.batch_size = 256
    config.loader.threads = 16
    return config
