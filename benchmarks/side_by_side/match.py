"""A match: the contestants of a case, each in a process of its own, alternating in slices."""

import math
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from benchmarks.side_by_side.cases import Case
from benchmarks.side_by_side.process import THEIRS, Worker, WorkerFailed
from convnets.analysis.timing import FEWEST, Timing

SLICE_SECONDS = 0.2
"""About how long a slice lasts; it holds one call at least."""

PAUSE = 0.02
"""Seconds between slices: threads that still spin for more work of the last one fall asleep."""

QUIET = 0.25
"""How many cores other programs may keep busy during a slice that counts."""

PATIENCE = 3
"""How many times as long as was asked a match may last while there are too few slices that count."""


@dataclass
class Played:
    """What a match says of one contestant.

    Attributes:
      timing: seconds of the first call, and seconds a call of each slice that counts.
      peak: largest resident memory of its process, in bytes.
      loss: of the first call, in nats.
      cores_of_others: how many cores other programs kept busy during these slices; nan where that is not known.
      failure: why there is nothing else, or empty.
    """

    timing: Timing = field(default_factory=Timing)
    peak: float = 0.0
    loss: float = math.nan
    cores_of_others: float = math.nan
    failure: str = ""


class Slice(NamedTuple):
    """Seconds a call, processor time a call, and how many cores other programs kept busy meanwhile."""

    seconds: float
    processor: float
    others: float


class Player:
    """A worker with its slices.

    Attributes:
      slices: all there were.
    """

    def __init__(self, worker: Worker):
        self._worker = worker
        self._calls = max(1, round(SLICE_SECONDS / worker.run(1)["seconds"]))
        self._peak = 0.0
        self.slices: list[Slice] = []

    def play_slice(self) -> None:
        """Times one more."""
        before = busy_seconds()
        answer = self._worker.run(self._calls)
        seconds, processor = answer["seconds"], answer["processor"]
        # Linux counts in hundredths of a second.
        others = max(busy_seconds() - before - processor, 0.0) / seconds
        self.slices.append(Slice(seconds / self._calls, processor / self._calls, others))
        self._peak = answer["peak"]

    @property
    def quiet(self) -> list[Slice]:
        """The slices during which other programs left the cores alone."""
        return [one for one in self.slices if not one.others >= QUIET]

    def result(self) -> Played:
        """Of the quiet slices, or of all if none is."""
        kept = self.quiet or self.slices
        timing = Timing(self._worker.first, [one.seconds for one in kept], [one.processor for one in kept])
        others = statistics.mean(one.others for one in kept)
        return Played(timing, self._peak, self._worker.loss, others)


def play(case: Case, contestants: Sequence[str], *, seconds: float, memory: str = "kept") -> dict[str, Played]:
    """Times the contestants in slices, in turns, every other round in the opposite order.

    Args:
      seconds: no round begins later than this, compilation not counted, but there are three in any case, and more
        while fewer than three slices of a contestant are quiet (but not for more than `PATIENCE` times as long).
      memory: what becomes of memory that their processes free: "kept" or "returned".
    """
    played: dict[str, Played] = {}
    players: dict[str, Player] = {}
    with ExitStack() as stack:
        for name in contestants:
            try:
                players[name] = Player(stack.enter_context(Worker(name, case, memory)))
            except WorkerFailed as error:
                played[name] = Played(failure=str(error))
        began, turn = time.perf_counter(), 0
        while players:
            lasted = time.perf_counter() - began
            few = any(len(player.quiet) < FEWEST for player in players.values())
            if turn >= FEWEST and lasted > seconds * (PATIENCE if few else 1):
                break
            turn += 1
            for name in list(players)[:: 1 if turn % 2 else -1]:
                time.sleep(PAUSE)
                try:
                    players[name].play_slice()
                except WorkerFailed as error:
                    played[name] = Played(failure=str(error))
                    del players[name]
    played |= {name: player.result() for name, player in players.items()}
    return {name: played[name] for name in contestants}


def available(contestants: Sequence[str]) -> list[str]:
    """Those whose library is installed."""
    return [name for name in contestants if name not in THEIRS or find_spec("torch") is not None]


def busy_seconds() -> float:
    """Processor time that all programs, and other machines on the same host, have taken; nan if Linux doesn't say."""
    try:
        user, nice, system, _, _, *interrupts_and_stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return math.nan
    return (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")
