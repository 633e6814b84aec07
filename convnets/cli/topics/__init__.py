"""What `launch.py explain` can explain: topics by their names, one file for each or for two alike.

A topic is a function whose keyword-only arguments are the flags that it takes, with their defaults; its docstring is
one line that says what it shows. A flag that no topic had before is to be entered in `command_table.COMMANDS` as well,
and a new file in the imports of `cli/explain.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from convnets.registry import Registry


@dataclass(frozen=True)
class Explanation:
    """What a topic has to say.

    Attributes:
      tables: to print.
      lines: below them.
      record: all of it, ready for JSON.
    """

    tables: list[Table]
    lines: list[str]
    record: dict[str, Any]


topics: Registry[Callable[..., Explanation]] = Registry("topic")
