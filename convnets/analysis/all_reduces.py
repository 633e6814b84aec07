"""The sums over devices in a function of one device, counted from its trace.

A collective is an operation of the jaxpr like any other, so what a training step moves between devices follows from
the step itself: every array that is summed, in its type, as often as it is summed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

from convnets.errors import InvalidValue

SUMS = ("psum", "psum_invariant")
"""Names of JAX's sum over devices: under `pmap`, and under `shard_map` that checks what varies."""


@dataclass(frozen=True)
class AllReduce:
    """One array that is summed over the devices.

    Attributes:
      shape: of one device's array.
      dtype: by its name.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Of one device's array."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def all_reduces(jaxpr: Jaxpr, axis: str) -> Iterator[AllReduce]:
    """The sums over the named axis, in the order of the program; those in a loop of known length as often as it runs.

    Raises:
      InvalidValue: a sum in a loop or a condition, which says nothing about how often it is computed.
    """
    for equation in jaxpr.eqns:
        name, options = equation.primitive.name, equation.params
        if name in SUMS and axis in options["axes"]:
            yield from (_array(var.aval) for var in equation.invars)
            continue
        inside = [found for inner in _jaxprs_in(options.values()) for found in all_reduces(inner, axis)]
        if inside and name in ("while", "cond"):
            raise InvalidValue(f"sums over devices can't be counted inside a {name!r}: write the step without it")
        yield from inside * (options["length"] if name == "scan" else 1)


def _array(shaped: Any) -> AllReduce:
    return AllReduce(tuple(shaped.shape), shaped.dtype.name)


def _jaxprs_in(options: Iterable[Any]) -> Iterator[Jaxpr]:
    for option in options:
        if isinstance(option, tuple | list):
            yield from _jaxprs_in(option)
        elif isinstance(option, ClosedJaxpr):
            yield option.jaxpr
        elif isinstance(option, Jaxpr):
            yield option
