"""`launch.py explain`: an idea of the lecture, counted from real layers and measured on this device."""

import inspect
import json

from rich.console import Console

from convnets.cli.command_line import Arguments
from convnets.cli.command_table import COMMANDS
from convnets.cli.printing import print_tables
from convnets.cli.runtime import use_compilation_cache
from convnets.cli.topics import (  # noqa: F401  (the files register their topics)
    filters,
    scaling,
    sliding_window,
    topics,
    transposed_convolution,
)
from convnets.errors import InvalidValue


def run(arguments: Arguments) -> int:
    """Of one topic; without one, the list of them."""
    if arguments.overrides:
        raise InvalidValue("explain takes no --config fields")
    if not arguments.rest:
        print(overview())
        return 0
    if len(arguments.rest) > 1:
        raise InvalidValue(f"explain takes one topic at a time, and was given {' '.join(arguments.rest)!r}")
    name = arguments.rest[0].replace("_", "-")
    defaults = {flag.name: flag.default for flag in COMMANDS["explain"].flags}
    given = {flag: arguments[flag] for flag in defaults if flag != "json" and arguments[flag] != defaults[flag]}
    topics.check_options(name, given)
    if arguments["seconds"] < 0:
        raise InvalidValue(f"--seconds is {arguments['seconds']}: give 0 to measure nothing, or more")
    use_compilation_cache()
    with Console(stderr=True).status(f"explaining {name}"):
        explanation = topics[name](**given)
    if arguments["json"]:
        print(json.dumps(explanation.record, indent=2))
    else:
        print_tables(explanation.tables, explanation.lines)
    return 0


def overview() -> str:
    """The topics with what they show and the flags they take."""
    lines = ["usage: python launch.py explain TOPIC [flags]", ""]
    width = max(map(len, topics))
    for name in topics:
        options = topics.options(name).items()
        flags = " ".join(f"--{flag}" + (f"={default}" if default else "") for flag, default in options)
        lines += [f"  {name:<{width}} {inspect.getdoc(topics[name])}", f"  {'':<{width}} {flags}"]
    return "\n".join([*lines, "", "All take --json."])
