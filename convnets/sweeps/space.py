"""What the trials of a sweep differ in: fixed trials, or fields with distributions to search.

An experiment file says it in a function beside `get_config()`, which yields dicts from fields to values or
distributions:

    def sweep():
        yield from product(grid({"optimizer.learning_rate": (0.02, 0.05, 0.1)}), seeds(3))

    def sweep():
        yield {"optimizer.learning_rate": log_uniform(1e-3, 0.5), "optimizer.name": choice("sgd", "adamw")}
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from convnets.errors import InvalidValue

Values = dict[str, Any]
"""From fields, as "optimizer.learning_rate", to what a trial has there."""

SEED = "seed"
"""Trials that differ in this field alone are one, measured several times."""


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included.

    Attributes:
      log: whether their logarithms are spread evenly, instead of themselves.
      whole: whether they are whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        name = "integers" if self.whole else "log_uniform" if self.log else "uniform"
        return f"{name}({self.low!r}, {self.high!r})"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return f"choice{self.values!r}"


Distribution = Range | Choice


def uniform(low: float, high: float) -> Range:
    """Numbers in [low, high].

    Raises:
      InvalidValue: bounds that are no finite numbers, or not in this order.
    """
    return _range("uniform", low, high)


def log_uniform(low: float, high: float) -> Range:
    """Numbers in [low, high] whose logarithms are spread evenly, as for rates.

    Raises:
      InvalidValue: bounds that are no finite numbers, not in this order, or not positive.
    """
    return _range("log_uniform", low, high, log=True)


def integers(low: int, high: int) -> Range:
    """Whole numbers in [low, high], both included.

    Raises:
      InvalidValue: bounds that are no whole numbers, or not in this order.
    """
    return _range("integers", low, high, whole=True)


def choice(*values: Any) -> Choice:
    """One of the values.

    Raises:
      InvalidValue: fewer than two values, or one of them twice.
    """
    if len(values) < 2 or any(value in values[:i] for i, value in enumerate(values)):
        raise InvalidValue(f"choice{values!r} needs two values or more, each once")
    return Choice(values)


def _range(name: str, low: float, high: float, *, log: bool = False, whole: bool = False) -> Range:
    given = f"{name}({low!r}, {high!r})"
    kind = int if whole else int | float
    if not all(isinstance(bound, kind) and not isinstance(bound, bool) for bound in (low, high)):
        raise InvalidValue(f"{given} needs two {'whole ' if whole else ''}numbers as bounds")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidValue(f"{given} needs finite bounds, and the lower one first")
    if log and low <= 0:
        raise InvalidValue(f"{given} needs bounds above zero, for their logarithms")
    return Range(low, high, log, whole) if whole else Range(float(low), float(high), log, whole)


def grid(fields: Mapping[str, Iterable[Any]]) -> list[Values]:
    """Every combination of the fields' values; the last field varies fastest.

    Raises:
      InvalidValue: values that are no list or tuple, or an empty one.
    """
    columns = _columns("grid", fields)
    return [dict(zip(columns, row, strict=True)) for row in itertools.product(*columns.values())]


def zipped(fields: Mapping[str, Iterable[Any]]) -> list[Values]:
    """The first values of all fields together, then the second, and so on.

    Raises:
      InvalidValue: values that are no list or tuple, an empty one, or other numbers of them.
    """
    columns = _columns("zipped", fields)
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{len(column)} of {name}" for name, column in columns.items())
        raise InvalidValue(f"zipped() takes as many values of each field, and was given {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def product(*parts: Iterable[Values]) -> list[Values]:
    """Every combination of a dict of each part, merged; the last part varies fastest.

    Raises:
      InvalidValue: a field that stands in two parts.
    """
    return [reduce(_merge, combination, {}) for combination in itertools.product(*map(list, parts))]


def seeds(count: int) -> list[Values]:
    """Seeds 0 to count - 1.

    Raises:
      InvalidValue: no whole number above zero.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InvalidValue(f"seeds({count!r}) needs a whole number above zero")
    return grid({SEED: range(count)})


def _columns(name: str, fields: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    for given, values in fields.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise InvalidValue(f"{name}() takes a list or tuple of values of {given!r}, and was given {values!r}")
    return {given: list(values) for given, values in fields.items()}


def _merge(one: Values, other: Values) -> Values:
    both = sorted(one.keys() & other.keys())
    if both:
        raise InvalidValue(f"product() was given {both[0]!r} in two of its parts")
    return one | other


@dataclass(frozen=True)
class Space:
    """What `sweep()` yielded, in order.

    Attributes:
      fixed: the trials; of a search the points that it starts with, which may leave fields open.
      search: the distribution of each field that is searched; {} where all trials are fixed.
      constants: fields that have one value in all searched trials.
    """

    fixed: tuple[Values, ...] = ()
    search: Mapping[str, Distribution] = field(default_factory=dict)
    constants: Values = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """All fields that a trial sets, in the order in which they were named."""
        return list(dict.fromkeys(name for values in (*self.fixed, self.search, self.constants) for name in values))

    def described(self) -> dict[str, Any]:
        """The space in what JSON has, to be kept and compared."""
        return {
            "fixed": [{name: repr(value) for name, value in values.items()} for values in self.fixed],
            "search": {name: str(distribution) for name, distribution in self.search.items()},
            "constants": {name: repr(value) for name, value in self.constants.items()},
        }


def space_of(yielded: Iterable[Values]) -> Space:
    """What the `sweep()` of an experiment yields, or returns, as one object.

    Raises:
      InvalidValue: nothing, something that is no dict, the same trial twice, distributions in several dicts, or a
        starting point that is not of the space.
    """
    if not isinstance(yielded, Iterable) or isinstance(yielded, Mapping):
        raise InvalidValue(f"sweep() yields dicts from fields to values, and returned {yielded!r}")
    fixed: list[Values] = []
    searched: list[Values] = []
    for values in yielded:
        if not isinstance(values, dict) or not values or not all(isinstance(name, str) for name in values):
            raise InvalidValue(f"sweep() yields dicts from fields to values, and yielded {values!r}")
        has_distribution = any(isinstance(value, Distribution) for value in values.values())
        (searched if has_distribution else fixed).append(values)
    if len(searched) > 1:
        raise InvalidValue(
            f"sweep() yields {len(searched)} dicts with distributions, and a sweep searches one space: put what "
            "differs between them into choice(...)"
        )
    for number, values in enumerate(fixed):
        if any(_same(values, earlier) for earlier in fixed[:number]):
            raise InvalidValue(f"sweep() yields the trial {values!r} twice")
    if not searched:
        if not fixed:
            raise InvalidValue("sweep() yields nothing: yield a dict from fields to values for each trial")
        return Space(tuple(fixed))
    (whole,) = searched
    search = {name: value for name, value in whole.items() if isinstance(value, Distribution)}
    constants = {name: value for name, value in whole.items() if name not in search}
    return Space(tuple(_points(fixed, search, constants)), search, constants)


def _points(fixed: list[Values], search: Mapping[str, Distribution], constants: Values) -> Iterator[Values]:
    """The starting points of a search, without what is constant."""
    for values in fixed:
        for name, value in values.items():
            if name in constants and value == constants[name]:
                continue
            if name not in search:
                raise InvalidValue(
                    f"the starting point {values!r} sets {name!r}, for which the search has no distribution"
                )
            if value not in search[name]:
                raise InvalidValue(f"the starting point {values!r} is not in {name!r}: {search[name]}")
        yield {name: value for name, value in values.items() if name in search}


def _same(one: Values, other: Values) -> bool:
    return one == other and all(type(one[name]) is type(other[name]) for name in one)
