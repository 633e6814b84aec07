"""Named choices: architectures, sources, tasks, optimizers, schedules and augmentations.

A choice is a function; its keyword-only parameters are its options, and become the fields that a config has
for it. So an option exists in one place, with its default and its type, and a mistyped one is refused.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, TypeVar, cast, get_args, get_origin

from convnets.errors import InvalidValue, nearest

Choice = TypeVar("Choice", bound=Callable[..., Any])


PLAIN: dict[type, Any] = {bool: bool, int: int, float: int | float, str: str}
"""Types of defaults that are checked, and what they take."""

IN_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def type_wanted(default: Any, value: Any) -> str:
    """What an option of that default takes, such as `"a number, such as 0.1"`, if the value is none; else ""."""
    kind = type(default)
    # True is a number to Python, and a mistake here.
    if kind not in PLAIN or (isinstance(value, PLAIN[kind]) and isinstance(value, bool) == (kind is bool)):
        return ""
    return f"{IN_WORDS[kind]}, such as {default!r}"


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

    def variant(self, name: str, choice: Choice, **fixed: Any) -> None:
        """Adds a function under a name, with some of its keyword-only parameters fixed: they are no options of it."""
        signature = inspect.signature(choice)
        open_parameters = [p for p in signature.parameters.values() if p.name not in fixed]

        @functools.wraps(choice)
        def with_fixed(*arguments: Any, **options: Any) -> Any:
            return choice(*arguments, **options, **fixed)

        with_fixed.__name__ = name
        with_fixed.__signature__ = signature.replace(parameters=open_parameters)  # type: ignore[attr-defined]
        self.register(cast(Choice, with_fixed))

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

        An option annotated with `Literal[...]` takes those values alone.

        Raises:
          InvalidValue: such an option.
        """
        parameters = inspect.signature(self[name]).parameters.values()
        known = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
        for option, value in given.items():
            if option not in known:
                hint = nearest(option, known) if known else "it has none"
                raise InvalidValue(f"the {self.kind} {name!r} has no option {option!r}: {hint}")
            default, annotation = known[option].default, known[option].annotation
            listed = [(type(one), one) for one in get_args(annotation)]
            if get_origin(annotation) is Literal and (type(value), value) not in listed:
                allowed = " or ".join(repr(one) for one in get_args(annotation))
                raise InvalidValue(
                    f"the option {option!r} of the {self.kind} {name!r} is {allowed}, and was given {value!r}"
                )
            wanted = type_wanted(default, value)
            if wanted:
                raise InvalidValue(
                    f"the option {option!r} of the {self.kind} {name!r} takes {wanted}, and was given {value!r}"
                )
