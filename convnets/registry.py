"""Named choices: architectures, sources, tasks, optimizers, schedules and augmentations.

A choice is a function; its keyword-only parameters are its options, and become the fields that a config has
for it. So an option exists in one place, with its default and its type, and a mistyped one is refused.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from convnets.errors import InvalidValue, nearest

Choice = TypeVar("Choice", bound=Callable[..., Any])


PLAIN: dict[type, Any] = {bool: bool, int: int, float: int | float, str: str}
"""Types of defaults that are checked, and what they take."""


class Registry(Generic[Choice]):
    """A table from names to functions.

    Args:
      kind: what the choices are, in the singular, as errors name it ("architecture").
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._choices: dict[str, Choice] = {}

    def register(self, choice: Choice) -> Choice:
        """Decorator: adds a function under its own name."""
        name = choice.__name__
        if name in self._choices:
            raise ValueError(f"the {self.kind} {name!r} is registered twice")
        self._choices[name] = choice
        return choice

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._choices))

    def __getitem__(self, name: str) -> Choice:
        """The function of that name.

        Raises:
          InvalidValue: an unknown name; the nearest known ones are listed.
        """
        if name not in self._choices:
            raise InvalidValue(f"unknown {self.kind} {name!r}: {nearest(name, self)}")
        return self._choices[name]

    def options(self, name: str) -> dict[str, Any]:
        """The keyword-only parameters of a choice that have a default, with their defaults."""
        parameters = inspect.signature(self[name]).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}

    def check_options(self, name: str, given: dict[str, Any]) -> None:
        """Refuses options that the choice does not have, and values of another type than the default's.

        Raises:
          InvalidValue: such an option.
        """
        parameters = inspect.signature(self[name]).parameters.values()
        known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        for option, value in given.items():
            if option not in known:
                hint = nearest(option, known) if known else "it has none"
                raise InvalidValue(f"the {self.kind} {name!r} has no option {option!r}: {hint}")
            default = known[option]
            if type(default) in PLAIN and not isinstance(value, PLAIN[type(default)]):
                raise InvalidValue(
                    f"the option {option!r} of the {self.kind} {name!r} takes a {type(default).__name__}, such as "
                    f"{default!r}, and was given {value!r}"
                )
