"""Classification and localization of a Fashion-MNIST garment among clutter, on scenes of 48 x 48 pixels.

    python launch.py train --config=experiments/localization_scenes.py:agnostic --workdir=runs/localization

The words are the heads: 4 numbers of a box after the last convolution, 4 of each class, and 4 behind the fully
connected layers; and two garments in a scene, the larger first, or in any order. Hardware: 2 CPU cores. Time: 12
minutes. Test of `agnostic`: accuracy 0.890, and 0.999 of the boxes have an intersection over union of a half or more.
"""

from typing import Any

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.training.config import default_config

HEADS: dict[str, dict[str, Any]] = {
    "agnostic": {},
    "per_class": {"regression": "per_class"},
    "fully_connected": {"attach": "fully_connected"},
    "two": {"objects": 2},
    "two_in_any_order": {"objects": 2, "order": "free"},
}


def get_config(head: str = "agnostic") -> ConfigDict:
    """The experiment with a head of `HEADS`.

    Raises:
      InvalidValue: another word.
    """
    if head not in HEADS:
        raise InvalidValue(f"the head {head!r} is not one of {', '.join(HEADS)}")
    config = default_config()
    config.task = {"name": "localization", "box_weight": 5.0, **HEADS[head]}
    garments = HEADS[head].get("objects", 1)
    config.data = {
        "name": "scenes",
        "examples": 40_000,
        "size": 48,
        "objects": (garments, garments),
        "scale": (0.55, 0.85) if garments == 1 else (0.4, 0.6),
        # Composed once, in the first epoch.
        "keep": True,
    }
    config.validation.examples = 500
    config.network = {
        "name": "vgg11_bn",
        "width": 0.25,
        "stem": "small",
        "image_size": 48,
        "dropout": 0.1,
        "dtype": "bfloat16",
    }
    config.normalization.mean = (0.3, 0.3, 0.3)
    config.normalization.std = (0.2, 0.2, 0.2)
    config.augmentation = (("flip", {}),)
    config.optimizer = {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2}
    config.schedule = {"name": "cosine", "warmup": "100 steps"}
    config.train.batch_size = 32
    config.train.duration = "7000 steps"
    config.evaluation.batch_size = 250
    config.evaluation.every = "3500 steps"
    return config
