"""LeNet-5 on Fashion-MNIST with no, a little and full augmentation, all else equal.

    for seed in 0 1 2; do for mix in none flip_and_crop full; do
      python launch.py train --config=experiments/augmentation_fashion_mnist.py:$mix --config.seed=$seed \
          --workdir=runs/augmentation/$mix-seed$seed
    done; done
    python launch.py compare runs/augmentation --out=compared.png

Hardware: 2 CPU cores. Time: 4 to 6 minutes a run, beside other work. The figures are in docs/results.md.
"""

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.training.config import default_config

MIXES = {
    "none": (),
    "flip_and_crop": (("flip", {}), ("pad_and_crop", {"padding": 2})),
    "full": (
        ("flip", {}),
        ("affine", {"rotate": 10.0, "translate": 0.06, "scale": (0.9, 1.1), "shear": 5.0, "distortion": 0.1}),
        ("colour_jitter", {"brightness": 0.2, "contrast": 0.2}),
        ("random_erasing", {"probability": 0.25, "area": (0.02, 0.15)}),
    ),
}


def get_config(mix: str = "full") -> ConfigDict:
    """The experiment with a mix: none, flip_and_crop, or full.

    Raises:
      InvalidValue: another mix.
    """
    if mix not in MIXES:
        raise InvalidValue(f"the mix {mix!r} is not one of {', '.join(MIXES)}")
    config = default_config()
    config.data.name = "fashion_mnist"
    config.normalization.mean = (0.2190,)
    config.normalization.std = (0.3318,)
    config.augmentation = MIXES[mix]

    config.network.name = "lenet5"
    config.network.pooling = "max"

    config.optimizer.learning_rate = 0.05
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "cosine"
    config.schedule.warmup = "1 epochs"

    config.train.batch_size = 128
    config.train.duration = "30 epochs"
    config.evaluation.checkpoint = "last"
    return config
