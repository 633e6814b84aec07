"""How long things take, measured so that they can be compared.

On a machine that does other things a single number says little. So what is compared runs alternately in short slices,
A B C, C B A, A B C, ..., and is reported as ratios of medians and of minima over the slices.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax

FEWEST = 3
"""Rounds, however slow they are."""


@dataclass
class Timing:
    """The time of one function.

    Attributes:
      first: seconds of the first call, with tracing and compilation.
      slices: seconds a call, one number a slice.
      processor: seconds of processor time a call over all threads of the process, one number a slice.
    """

    first: float = 0.0
    slices: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds a call, over the slices."""
        return statistics.median(self.slices)

    @property
    def minimum(self) -> float:
        """Seconds a call in the fastest slice."""
        return min(self.slices)

    def over(self, other: "Timing", calls: float = 1.0) -> dict[str, float]:
        """How many times as long this takes as the other: the ratio of medians, and that of minima.

        Args:
          calls: how many calls of the other do the work of one call of this.
        """
        return {
            "ratio_of_medians": self.median / other.median / calls,
            "ratio_of_minima": self.minimum / other.minimum / calls,
        }


class Stopwatch:
    """A context manager: adds its seconds, divided by `calls`, to a timing as one slice."""

    def __init__(self, timing: Timing, calls: int):
        self._timing, self._calls = timing, calls

    def start(self) -> None:
        """Begins the slice."""
        self._began, self._processor = time.perf_counter(), time.process_time()

    def stop(self, *error: object) -> None:
        """Ends the slice."""
        self._timing.slices.append((time.perf_counter() - self._began) / self._calls)
        self._timing.processor.append((time.process_time() - self._processor) / self._calls)

    __enter__, __exit__ = start, stop


def alternate(
    contestants: Mapping[str, Callable[[], Any]], *, seconds: float, slice_seconds: float = 0.2
) -> dict[str, Timing]:
    """Times the contestants in slices, in turns, every other round in the opposite order.

    Args:
      contestants: functions that start some work and return arrays; a slice ends when those of its last call are there.
      seconds: no round begins later than this, compilation not counted, but there are three in any case.
      slice_seconds: about how long a slice lasts; it holds one call at least.
    """
    timings, calls = {}, {}
    for name, contestant in contestants.items():
        began = time.perf_counter()
        jax.block_until_ready(contestant())
        timings[name] = Timing(first=time.perf_counter() - began)
        warm = Timing()
        with Stopwatch(warm, 1):
            repeat(contestant, 1)
        calls[name] = max(1, round(slice_seconds / warm.minimum))
    began, turn = time.perf_counter(), 0
    while turn < FEWEST or time.perf_counter() - began < seconds:
        turn += 1
        for name in list(contestants)[:: 1 if turn % 2 else -1]:
            with Stopwatch(timings[name], calls[name]):
                repeat(contestants[name], calls[name])
    return timings


def repeat(contestant: Callable[[], Any], calls: int) -> None:
    """Calls it so often, without waiting in between, and waits for the last."""
    result = None
    for _ in range(calls):
        result = contestant()
    jax.block_until_ready(result)
