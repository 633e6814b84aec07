"""How benchmarks measure and what they hand back.

A machine that does other things besides can't be trusted with a single number. So what is compared runs alternately
in short slices, A B C, C B A, A B C, ..., and is reported as ratios of medians and of minima over the slices.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

FEWEST = 3
"""Rounds, however slow they are."""

RESULTS = Path(__file__).parent / "results"

Row = dict[str, str | int | float | None]


@dataclass
class Timing:
    """Of one contestant.

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

    def over(self, other: "Timing", calls: float = 1.0) -> Row:
        """How much longer this takes than the other, as the two columns of a row.

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

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begins the slice."""
        self._began, self._processor = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """Ends the slice."""
        self._timing.slices.append((time.perf_counter() - self._began) / self._calls)
        self._timing.processor.append((time.process_time() - self._processor) / self._calls)


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


@dataclass(frozen=True)
class Result:
    """What a benchmark found.

    Attributes:
      title: of its table.
      rows: of its table, each with the same columns; a column's name ends with its unit where it has one.
      reading: the one line that says what the table says.
    """

    title: str
    rows: list[Row]
    reading: str


def write(name: str, result: Result, *, quick: bool, seconds: float) -> Path:
    """Keeps a result, with what it was measured on, as `results/<name>.json`."""
    devices = jax.devices()
    document = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "jax": jax.__version__,
        "device": devices[0].device_kind,
        "devices": len(devices),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "quick": quick,
        "seconds": round(seconds, 1),
        **asdict(result),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    os.replace(temporary, path)
    return path


def _commit() -> str | None:
    """The commit of the code, marked if files differ from it; None outside of a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]
        return subprocess.run(
            command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("-changed" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
