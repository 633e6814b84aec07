"""`create(name, num_classes, ...)`, the only way to make a network."""

import fnmatch
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import flax.linen as nn

from convnets.errors import InvalidValue
from convnets.models.sizes import Output
from convnets.registry import Registry

architectures: Registry[Callable[..., nn.Module]] = Registry("architecture")

DTYPES = ("float32", "bfloat16", "float16")


def create(name: str, num_classes: int, **options: Any) -> nn.Module:
    """A network by its name.

    Args:
      name: one of `architectures`.
      num_classes: length of the logits.
      **options: what the architecture's factory takes: `dtype` ("float32", "bfloat16", "float16") of the computation,
        `norm` (makes a batch norm, called with `dtype`, `name` and perhaps `scale_init`) for the networks that
        normalize, and its own.

    Raises:
      InvalidValue: an unknown name, an option that this architecture does not have, or a value not allowed.
    """
    factory = architectures[name]
    architectures.check_options(name, options)
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise InvalidValue(f"num_classes is {num_classes!r}, and a network needs a whole number of classes, at least 1")
    dtype = options.get("dtype", "float32")
    if dtype not in DTYPES:
        raise InvalidValue(f"the compute dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    for option in ("dropout", "auxiliary_dropout"):
        if not 0 <= options.get(option, 0) < 1:
            raise InvalidValue(f"{option} is {options[option]}, and must lie in [0, 1)")
    if not 0 < options.get("width", 1) < math.inf:
        raise InvalidValue(f"width is {options['width']}, and must be a positive number: 1 for the network as it is")
    if options.get("image_size", 0) < 0:
        raise InvalidValue(f"image_size is {options['image_size']}, and must be positive, or 0 for the native size")
    return factory(num_classes, **options)


def create_backbone(name: str, num_classes: int, *, output: Output, **options: Any) -> nn.Module:
    """The architecture of that name with a classifier at every position ("map") or with none ("features").

    Raises:
      InvalidValue: as of `create`, or an architecture that can't end so.
    """
    network = create(name, num_classes, **options)
    if not any(field.name == "output" for field in fields(network)):
        raise InvalidValue(
            f"the network {name!r} can't be the backbone of a segmentation: use AlexNet, VGG, GoogLeNet or a ResNet"
        )
    return network.clone(output=output)


def list_models(pattern: str = "*") -> list[str]:
    """The names that `create` takes and that fit a pattern such as "resnet*", sorted."""
    return fnmatch.filter(architectures, pattern)
