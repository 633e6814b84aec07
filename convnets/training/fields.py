"""Fields of a config set by their names with dots, as a sweep has them."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import getitem
from typing import Any

from ml_collections import ConfigDict

from convnets.errors import InvalidValue, nearest
from convnets.registry import IN_WORDS, PLAIN
from convnets.training.config import CHOICES, complete, flatten
from convnets.training.config_check import check


def with_fields(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    """The config, completed and locked, with other values in some fields.

    Args:
      config: completed or not; it stays as it is.
      values: by fields such as "optimizer.learning_rate"; of "network.name" and the like the options follow.

    Raises:
      InvalidValue: a field that is not there (the nearest are named), or a value that it can't have.
    """
    names = {section: values[f"{section}.name"] for section in CHOICES if f"{section}.name" in values}
    for section, name in names.items():
        _check_type(f"{section}.name", config[section].name, name)
    config = ConfigDict(complete(config, names).to_dict())
    known = dict(flatten(config.to_dict()))
    for field, value in values.items():
        if field not in known:
            raise InvalidValue(f"unknown field {field}: {nearest_field(field, list(known))}")
        _check_type(field, known[field], value)
        *sections, name = field.split(".")
        reduce(getitem, sections, config)[name] = tuple(value) if isinstance(value, list) else value
    config.lock()
    check(config)
    return config


def _check_type(field: str, old: Any, value: Any) -> None:
    kind = type(old)
    if kind in PLAIN:
        # True is a number to Python, and a mistake here.
        fits = isinstance(value, PLAIN[kind]) and isinstance(value, bool) == (kind is bool)
        words = IN_WORDS[kind]
    else:
        fits, words = isinstance(value, tuple | list), "a tuple"
    if not fits:
        raise InvalidValue(f"{field} takes {words}, such as {old!r}, and was given {value!r}")


def nearest_field(field: str, fields: Sequence[str]) -> str:
    """The nearest whole names, or else what there is in the section."""
    hint = nearest(field, fields)
    if hint.startswith("did you mean"):
        return hint
    section, _, _ = field.rpartition(".")
    siblings = [known.rpartition(".")[2] for known in fields if known.rpartition(".")[0] == section]
    if section and siblings:
        return f"{section} has {', '.join(siblings)}"
    return "the sections are " + ", ".join(sorted({known.partition(".")[0] for known in fields}))
