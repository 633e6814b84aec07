"""The command line: `launch.py COMMAND [--flag=value ...] [--config.field=value ...]`."""

import itertools
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from absl import flags

import convnets
from convnets.cli.command_table import COMMANDS, CONFIG, DATA_DIR
from convnets.errors import ConvnetsError, InvalidValue, nearest

DEFINE: dict[type, Callable[..., Any]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    bool: flags.DEFINE_boolean,
}


@dataclass(frozen=True)
class Arguments:
    """What stands on the command line after the command.

    Attributes:
      flags: by name.
      overrides: the `--config.a.b=value`, as they are written.
      rest: what is no flag.
    """

    flags: dict[str, Any]
    overrides: list[str]
    rest: list[str]

    def __getitem__(self, name: str) -> Any:
        return self.flags[name]

    def required(self, name: str) -> str:
        """A flag that must be given.

        Raises:
          InvalidValue: it is not.
        """
        if not self.flags[name]:
            raise InvalidValue(f"--{name} is missing: give {HELP[name]}")
        return str(self.flags[name])


HELP = {flag.name: flag.help for command in COMMANDS.values() for flag in command.flags}


def program() -> str:
    """How this program was started, for hints that say what to type next."""
    started = Path(sys.argv[0])
    if started.name == "convnets":
        return "convnets"
    return "python -m convnets" if started.parts[-2:] == ("convnets", "__main__.py") else "python launch.py"


def parse(command: str, arguments: Sequence[str]) -> Arguments:
    """Sorts the arguments of a command.

    Raises:
      InvalidValue: a flag that the command does not have, or a value of another type.
    """
    from convnets.cli.experiments import is_override

    known = COMMANDS[command].flags
    values = flags.FlagValues()
    # Flags may stand behind what is no flag.
    values.set_gnu_getopt(True)
    for flag in known:
        DEFINE[type(flag.default)](flag.name, flag.default, flag.help, flag_values=values)
    overrides = [argument for argument in arguments if is_override(argument)]
    try:
        rest = values([command, *(argument for argument in arguments if not is_override(argument))])[1:]
    except flags.UnrecognizedFlagError as error:
        hint = nearest(error.flagname, [flag.name for flag in known])
        raise InvalidValue(f"the command {command} has no flag --{error.flagname}: {hint}") from None
    except flags.Error as error:
        raise InvalidValue(f"{command}: {error}") from None
    return Arguments({flag.name: values[flag.name].value for flag in known}, overrides, rest)


def main(line: Sequence[str] = ()) -> int:
    """Runs a command line; returns the exit status: 0, 1 for a mistake of the user's, or 128 + a signal's number.

    Args:
      line: the program's name, the command and its arguments; by default `sys.argv`.
    """
    command, *arguments = (line or sys.argv)[1:] or ["--help"]
    if command in ("help", "--help", "-h"):
        print(overview())
        return 0
    if command == "--version":
        print(f"convnets {convnets.__version__}")
        return 0
    try:
        if command not in COMMANDS:
            raise InvalidValue(f"there is no command {command!r}: {nearest(command, COMMANDS)}")
        if {"--help", "-h"} & set(arguments):
            print(help_of(command, arguments))
            return 0
        return int(import_module(f"convnets.cli.{command}").run(parse(command, arguments)))
    except ConvnetsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def overview() -> str:
    """The commands, a line each."""
    lines = [str(convnets.__doc__).partition("\n")[0], "", f"usage: {program()} COMMAND [flags]", ""]
    lines += [f"  {name:<10} {command.summary}" for name, command in COMMANDS.items()]
    lines += [
        "",
        f"{program()} COMMAND --help lists a command's flags;",
        f"{program()} train --config=FILE --help lists the fields of an experiment.",
    ]
    return "\n".join(lines)


def help_of(command: str, arguments: Sequence[str]) -> str:
    """A command's flags, an example, and the fields of the experiment if one is named."""
    about = COMMANDS[command]
    lines = [f"{program()} {command}: {about.summary}", ""]
    for flag in about.flags:
        default = f" (default {flag.default})" if flag.default not in ("", False) else ""
        lines.append(f"  --{flag.name:<14} {flag.help}{default}")
    if CONFIG in about.flags or DATA_DIR in about.flags:
        lines.append(f"  {'--config.a.b=value':<16} sets a field of the experiment")
    lines += ["", f"example: {program()} {command} {about.example}"]
    named = [argument.partition("=")[2] for argument in arguments if argument.startswith("--config=")]
    named += [value for flag, value in itertools.pairwise(arguments) if flag == "--config"]
    if named:
        from convnets.cli.experiments import is_override, load_experiment, override
        from convnets.training.config import flatten

        config = override(load_experiment(named[0]), [argument for argument in arguments if is_override(argument)])
        lines += ["", f"fields of {named[0]}, with their values:"]
        lines += [f"  --config.{field}={value!r}" for field, value in flatten(config)]
    return "\n".join(lines)
