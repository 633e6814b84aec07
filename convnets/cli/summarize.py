"""`launch.py summarize`: a network's layers, counted from the network itself."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from convnets import data, models
from convnets.analysis.network_costs import native_network, native_shape
from convnets.analysis.summary import summarize
from convnets.analysis.summary_table import as_csv, as_dict, print_summary
from convnets.cli import summarize_all
from convnets.cli.command_line import Arguments
from convnets.cli.experiments import load_experiment, override
from convnets.cli.printing import console
from convnets.errors import InvalidValue
from convnets.training.config import GIVEN_BY_TRAINING, options_of
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir

Subject = tuple[nn.Module, str, tuple[int, ...], str]
"""A network, its name, the shape `(H, W, C)` of its images and, for the title, where they come from."""


def run(arguments: Arguments) -> int:
    """Of a network by its name, of an experiment's, of a run's, or of all networks; needs no data."""
    if arguments["all"]:
        return summarize_all.run(arguments)
    for flag in ("runs", "out"):
        if arguments[flag]:
            raise InvalidValue(f"--{flag} belongs to --all")
    if [bool(arguments.rest), bool(arguments["config"]), bool(arguments["workdir"])].count(True) != 1:
        raise InvalidValue(
            "summarize takes one of three: the name of a network, --config (an experiment) or --workdir (a run)"
        )
    if arguments["json"] and arguments["csv"]:
        raise InvalidValue("give either --json or --csv")
    network, name, image_shape, of = _named(arguments) if arguments.rest else _configured(arguments)
    dtype = jnp.dtype(getattr(network, "dtype", jnp.float32)).name
    batch, depth = arguments["batch"], arguments["depth"]
    if depth < 0:
        raise InvalidValue(f"--depth is {depth}: give 1 for a line per top-level module, 0 for a line per layer")
    summary = summarize(network, image_shape, batch)
    if arguments["json"]:
        facts = {"network": name, "image_shape": image_shape, "batch": batch, "dtype": dtype}
        print(json.dumps(facts | as_dict(summary, depth), indent=2))
    elif arguments["csv"]:
        print(as_csv(summary, depth), end="")
    else:
        shape = " × ".join(map(str, image_shape))
        images = f"{shape} images{of}" if batch == 1 else f"{batch} images of {shape}{of}"
        print_summary(summary, console(), f"{name} on {images}, {dtype}", depth)
    return 0


def _named(arguments: Arguments) -> Subject:
    if arguments.overrides:
        raise InvalidValue("a network by its name has no --config fields: give its options as option=value")
    if arguments["classes"] < 0:
        raise InvalidValue(f"--classes is {arguments['classes']}, and a network needs at least 1")
    network = named_network(arguments.rest, arguments["classes"])
    shape = _image_shape(arguments["image"]) if arguments["image"] else native_shape(network)
    return network, " ".join(arguments.rest), shape, ""


def _configured(arguments: Arguments) -> Subject:
    for flag in ("image", "classes"):
        if arguments[flag]:
            raise InvalidValue(f"--{flag} is for a network by its name: an experiment's data say what its images are")
    if arguments["config"]:
        config = override(load_experiment(arguments["config"]), arguments.overrides)
        info = data.describe(config.data.name, **options_of(config, "data"))
        info = replace(info, classes=tuple(config.subset.classes) or info.classes)
    else:
        workdir = Workdir(arguments["workdir"])
        if arguments.overrides:
            raise InvalidValue("with --workdir the run's own network is shown: leave the --config fields out")
        config, info = override(workdir.config(), []), workdir.info()
    model = build_model(config, info)
    return model.network, config.network.name, model.image_shape, f" of {info.name}"


def named_network(words: Sequence[str], classes: int = 0) -> nn.Module:
    """The network of a name, with the options behind it as `option=value`.

    Args:
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


def _image_shape(text: str) -> tuple[int, ...]:
    match = re.fullmatch(r"(\d+)[x×](\d+)[x×](\d+)", text)
    if match is None or 0 in map(int, match.groups()):
        raise InvalidValue(
            f"--image is the height, width and channels of the images, such as 224x224x3, and was given {text!r}"
        )
    return tuple(map(int, match.groups()))


def _option(name: str, pair: str) -> tuple[str, Any]:
    """An option of a network from `option=value`; a value that is no literal of Python's is text."""
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
