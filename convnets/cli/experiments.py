"""Experiment files, and the command line's overrides of their fields."""

import functools
import importlib.util
import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from convnets.cli.command_line import Arguments
from convnets.errors import InvalidValue, nearest
from convnets.training.config import CHOICES, PLACES, complete, flatten, from_json, refuse_unknown
from convnets.training.config_rules import check
from convnets.training.workdir import Workdir

_OVERRIDE = re.compile(r"--?(?:no)?config\.([\w.]+)(?:=(.*))?", re.DOTALL)


def load_experiment(path: str) -> ConfigDict:
    """What the file's `get_config()` returns; of `file.py:words`, what `get_config("words")` does; a config in JSON.

    Raises:
      InvalidValue: no such file, no `get_config` in it, or a value in it that the field can't take.
    """
    file, words = _file_and_words(path)
    if file.suffix == ".json":
        return from_json(file)
    module = _module_of(file)
    if not hasattr(module, "get_config"):
        raise InvalidValue(f"the experiment {str(file)!r} has no get_config(), which returns its config")
    try:
        config = module.get_config(*words)
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidValue(f"the experiment {str(file)!r} sets a field wrongly: {error}") from error
    if not isinstance(config, ConfigDict):
        raise InvalidValue(
            f"get_config() of the experiment {str(file)!r} returns no ConfigDict but {type(config).__name__}"
        )
    return config


def load_sweep(path: str) -> Iterable[Any]:
    """What the `sweep()` of an experiment's file yields; with words behind the file's colon, and where it takes some,
    what `sweep("words")` does.

    Raises:
      InvalidValue: no such file, or no `sweep` in it.
    """
    file, words = _file_and_words(path)
    sweep = None if file.suffix == ".json" else getattr(_module_of(file), "sweep", None)
    if not callable(sweep):
        raise InvalidValue(
            f"the experiment {str(file)!r} has no sweep(), which yields what its trials differ in: write 'def sweep(): "
            'yield {"optimizer.learning_rate": log_uniform(1e-3, 1.0)}\' there, with log_uniform from '
            "convnets.sweeps.space"
        )
    found: Iterable[Any] = sweep(*words) if inspect.signature(sweep).parameters else sweep()
    return found


def _file_and_words(path: str) -> tuple[Path, list[str]]:
    path, colon, words = path.partition(".py:")
    path += ".py" if colon else ""
    file = Path(path)
    if not file.is_file():
        there = sorted(str(found) for found in Path("experiments").glob("*.py"))
        hint = nearest(path, there) if there else "there is no folder experiments here"
        raise InvalidValue(f"there is no experiment {path!r}: {hint}")
    return file, [words] if colon else []


def _module_of(file: Path) -> ModuleType:
    """The file as a module, executed once: it may register tasks, networks and data sets of its own."""
    try:
        return _module_written_at(file.resolve(), file.stat().st_mtime_ns)
    except OSError as error:
        raise InvalidValue(f"the experiment {str(file)!r} can't be read: {error.strerror}") from None


@functools.cache
def _module_written_at(file: Path, written: int) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise InvalidValue(f"the experiment {str(file)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def override(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
    """The config, completed and locked, with the command line's `--config.a.b=value` in it.

    Raises:
      InvalidValue: a field that is not there (the nearest are named), or a value of another type.
    """
    named = {match[1]: (argument, match[2]) for argument in arguments if (match := _OVERRIDE.fullmatch(argument))}
    given = {name: value for name, (_, value) in named.items()}
    names = {section: given[f"{section}.name"] for section in CHOICES if given.get(f"{section}.name")}
    config = complete(config, names)
    fields = dict(flatten(config))
    refuse_unknown(config, given, "--config.")
    values = flags.FlagValues()
    # Of a field that is given twice the last one counts; the library would join two tuples.
    line = ["launch.py", *(argument for argument, _ in named.values())]
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=line)
    try:
        values(line)
    except (flags.Error, TypeError, ValueError) as error:
        # The library's own words name the flag first: "flag --config.a=x: could not convert ...".
        found = re.search(r"--(?:no)?config\.([\w.]+)", str(error))
        if found is None or found[1] not in fields:
            raise InvalidValue(f"{error}") from None
        value = fields[found[1]]
        raise InvalidValue(
            f"--config.{found[1]} takes a value of type {type(value).__name__}, such as {value!r}, "
            f"and was given {given[found[1]]!r}"
        ) from None
    check(config)
    return config


OVERRIDABLE = (
    *("evaluation.", "loader.", "cpu.", "data.evaluation_size", "task.merging", "train.wrapper"),
    *PLACES,
)
"""Fields and sections that may differ from the run's own: none changes the network, or which examples there are."""


def config_of_run(workdir: Workdir, arguments: Arguments) -> ConfigDict:
    """The config of the run in a workdir with the command line's overrides, for commands that don't train.

    Raises:
      InvalidValue: an override of what the run is, or an argument that is no flag.
    """
    refuse_rest(arguments)
    check_overridable(workdir, arguments.overrides)
    return override(workdir.config(), with_data_dir(arguments))


def check_overridable(workdir: Workdir, overrides: Sequence[str]) -> None:
    """Refuses overrides of what a run is.

    Raises:
      InvalidValue: the first of another field than `OVERRIDABLE`.
    """
    for given in overrides:
        field = given.partition("config.")[2].partition("=")[0]
        if not any(field == name or (name.endswith(".") and field.startswith(name)) for name in OVERRIDABLE):
            raise InvalidValue(f"--config.{field} is what the run in {workdir.folder} was trained with, and stays")


def with_data_dir(arguments: Arguments) -> list[str]:
    """The overrides, with --data_dir among them."""
    if not arguments["data_dir"]:
        return arguments.overrides
    return [*arguments.overrides, f"--config.data.data_dir={arguments['data_dir']}"]


def refuse_rest(arguments: Arguments) -> None:
    """Refuses arguments that are no flags.

    Raises:
      InvalidValue: with how flags are written.
    """
    if arguments.rest:
        raise InvalidValue(
            f"this command takes flags only, written as --flag=value, and was given {' '.join(arguments.rest)!r}"
        )


def is_override(argument: str) -> bool:
    """Whether an argument is one of `--config.a.b=value`."""
    return _OVERRIDE.fullmatch(argument) is not None
