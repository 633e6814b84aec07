"""ResNet-50 on 37 breeds of cats and dogs (Parkhi et al. 2012), from published ImageNet weights.

    python launch.py prepare oxford_iiit_pet
    python launch.py train --config=experiments/pets_fine_tuning.py --workdir=runs/pets

or to find the best way of transfer within two hours of training:

    python launch.py transfer --config=experiments/pets_fine_tuning.py --workdir=runs/pets_transfer --budget=120

and on your own images, in folders train and test with a folder for each class:

    python launch.py train --config=experiments/pets_fine_tuning.py --workdir=runs/own \
        --config.data.name=image_folder --data_dir=/data/own

The weights are torchvision's, from the Hugging Face hub; a file of them does as well
(`--config.initialize.weights=resnet50.pth`). The head is new and learns at the full rate, all other layers at a tenth,
as the lecture advises; where data are few, more is frozen (`--config.freeze.below=stage4`).

No run of it has been made yet, and no figure is claimed. The last checkpoint is tested by the central 224 pixels of
256.

Memory: about 3.2 GB on one device. Parameters, gradients and momentum take 12 bytes each (0.3 GB), and the responses
of all layers 89.7 MB an image (`launch.py summarize resnet50_v1_5`), 2.9 GB of the batch of 32.
"""

from ml_collections import ConfigDict

from convnets.training.config import default_config


def get_config() -> ConfigDict:
    """The experiment's fields; all others are `default_config`'s."""
    config = default_config()
    config.data.name = "tfds"
    config.data.dataset = "oxford_iiit_pet"
    config.data.crop = "random_shape"
    config.data.area = (0.35, 1.0)
    config.data.size = 224
    config.data.evaluation_size = 256
    config.validation.examples = 370
    config.normalization.mean = (0.485, 0.456, 0.406)
    config.normalization.std = (0.229, 0.224, 0.225)
    config.augmentation = (("flip", {}),)

    config.network.name = "resnet50_v1_5"
    config.initialize.weights = "hf://timm/resnet50.tv_in1k"
    config.initialize.head = "new"

    config.optimizer.learning_rate = 0.05
    config.optimizer.rates = (("logits", 1.0), ("*", 0.1))
    config.schedule.name = "cosine"
    config.schedule.warmup = "1 epochs"

    config.train.batch_size = 32
    config.train.duration = "30 epochs"
    config.evaluation.batch_size = 64
    config.evaluation.checkpoint = "last"
    config.loader.threads = 16
    return config
