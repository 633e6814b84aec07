"""Convolutional networks in JAX and Flax: train, study and reuse them.

    >>> from convnets import create, list_models
    >>> list_models("lenet*")
    ['lenet5', 'lenet5_bn']
    >>> network = create("lenet5", num_classes=10)
    >>> variables = network.init(jax.random.key(0), images, train=False)
    >>> logits, feature_maps = network.apply(variables, images, train=False)

`load_run` opens the folder of a trained run, `load_pretrained` published weights; `augment` has the augmentations and
`tasks` what can be learned.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convnets import augment, tasks
    from convnets.models import create, list_models
    from convnets.pretrained.loading import load_pretrained
    from convnets.training.run import load_run

__version__ = "0.1.0"
__all__ = ["augment", "create", "list_models", "load_pretrained", "load_run", "tasks"]

_MODULES = {
    "augment": "convnets.augment",
    "create": "convnets.models",
    "list_models": "convnets.models",
    "load_pretrained": "convnets.pretrained.loading",
    "load_run": "convnets.training.run",
    "tasks": "convnets.tasks",
}


def __getattr__(name: str) -> Any:
    # What is asked for is imported then: the command line and `--version` need no JAX.
    if name not in _MODULES:
        raise AttributeError(f"module 'convnets' has no attribute {name!r}")
    module = import_module(_MODULES[name])
    return module if name in ("augment", "tasks") else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
