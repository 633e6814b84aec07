"""A network that the command line names itself: `resnet50 stem=small dtype=bfloat16`."""

import ast
import re
from collections.abc import Sequence
from typing import Any

import flax.linen as nn

from convnets import models
from convnets.analysis.network_costs import native_network
from convnets.errors import InvalidValue
from convnets.training.config import GIVEN_BY_TRAINING


def named_network(words: Sequence[str], classes: int = 0) -> nn.Module:
    """The network of that name and options.

    Args:
      words: a name of `architectures`, then its options as `option=value`; a value that is no literal of Python's is
        text.
      classes: of the logits; 0 for 1,000, or 10 where the native images are at most 32 pixels wide.

    Raises:
      InvalidValue: an unknown name or option, a value that is not allowed, or something else between them.
    """
    name, *pairs = words
    if "=" in name:
        raise InvalidValue(f"the network's name comes first and its options follow, and {name!r} is an option")
    options = dict(_option(name, pair) for pair in pairs)
    models.architectures.check_options(name, options)
    return models.create(name, classes, **options) if classes else native_network(name, **options)


def image_shape(text: str) -> tuple[int, int, int]:
    """`(H, W, C)` from text such as `224x224x3`.

    Raises:
      InvalidValue: anything else.
    """
    match = re.fullmatch(r"(\d+)[x×](\d+)[x×](\d+)", text)
    if match is None or 0 in map(int, match.groups()):
        raise InvalidValue(
            f"--image is the height, width and channels of the images, such as 224x224x3, and was given {text!r}"
        )
    height, width, channels = map(int, match.groups())
    return height, width, channels


def _option(name: str, pair: str) -> tuple[str, Any]:
    option, equals, text = pair.partition("=")
    if not equals or not option:
        raise InvalidValue(f"options of {name} are written as option=value, and {pair!r} is none")
    if option in GIVEN_BY_TRAINING and option in models.architectures.options(name):
        raise InvalidValue(
            f"{option!r} of {name} is what batch_norm.* says in the config of an experiment: use --config"
        )
    try:
        return option, ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return option, text
