"""Configs in JSON, as a run writes them, and what two configs do not share."""

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.training.config import flatten


def to_json(config: ConfigDict) -> str:
    """The config as indented JSON."""
    return json.dumps(config.to_dict(), indent=2)


RENAMED = {"normalization.deviation": "normalization.std", "data.canvas": "data.bucket"}
"""Fields of configs written earlier, and their names now."""


def from_json(path: Path) -> ConfigDict:
    """The config of a file that `to_json` made, locked.

    Raises:
      InvalidValue: a file that is damaged.
    """
    return from_text(path.read_text(), str(path))


def from_text(text: str, where: str) -> ConfigDict:
    """The same of the content of such a file, called `where` in what is said of it."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise InvalidValue(f"{where} is not readable as JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidValue(f"{where} holds no config, but {str(fields)[:40]!r}")
    return from_fields(fields)


def from_fields(fields: dict[str, Any]) -> ConfigDict:
    """The config of the sections read from JSON, locked: lists are tuples again, and renamed fields have their names
    of today."""
    fields = _tuples(fields)
    for old, new in RENAMED.items():
        section, _, field = old.partition(".")
        if isinstance(fields.get(section), dict) and field in fields[section]:
            fields[section][new.partition(".")[2]] = fields[section].pop(field)
    return ConfigDict(fields).lock()


PLACES = (
    "data.data_dir",
    "data.cache",
    "data.keep",
    "data.unreadable",
    "loader.threads",
    "loader.buffer",
    "loader.workers",
    "checkpoint.folder",
)
"""Fields that say where and how fast a run happens, not what it is: they may differ when it is resumed."""


def differences(there: ConfigDict, here: ConfigDict) -> list[str]:
    """`"optimizer.learning_rate is 0.1 there and 0.05 here"` for each field that differs, but `PLACES`."""
    old, new = (dict(flatten(_tuples(json.loads(to_json(config))))) for config in (there, here))
    absent = "absent"
    return [
        f"{field} is {old.get(field, absent)!r} there and {new.get(field, absent)!r} here"
        for field in sorted(old.keys() | new.keys())
        if old.get(field, absent) != new.get(field, absent) and field not in PLACES
    ]


def _tuples(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
