"""Localization"""

from typing import Any

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.training.config import default_config

HEADS: dict[str, dict[str, Any]] = {
    "agnostic": {},
    "per_class": {"regression": "per_class"},
    "fully_connected": {"attach": "fully_connected"},
}


def get_config(head: str = "agnostic") -> ConfigDict:
    """The experiment with a head of `HEADS`.

    Raises:
      InvalidValue: another word.
    """
    if head not in HEADS:
        raise InvalidValue(f"the head {head!r} is not one of {', '.join(HEADS)}")
    config = default_config()
    config.task = {"name": "localization", **HEADS[head]}
    config.data = {
        "name": "scenes",
        "examples": 20_000,
        "size": 64,
        "objects": (1, 1),
        "scale": (0.4, 0.7),
        "keep": True,
    }
    config.validation.examples = 200
    config.network = {"name": "vgg11_bn", "width": 0.25, "stem": "small", "image_size": 64}
    config.normalization.mean = (0.3, 0.3, 0.3)
    config.normalization.deviation = (0.2, 0.2, 0.2)
    config.augmentation = (("flip", {}),)
    config.optimizer = {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2}
    config.schedule = {"name": "cosine", "warmup": "100 steps"}
    config.train.batch_size = 64
    config.train.duration = "1000 steps"
    config.evaluation.batch_size = 100
    config.evaluation.every = "500 steps"
    return config
