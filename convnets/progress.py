"""What a person sees while a run goes on: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_EVERY = 10.0
"""Seconds between plain lines, at least."""


class Screen:
    """Where progress is drawn. A context manager; while it is entered, bars come and go on it.

    Args:
      console: None draws nothing (the processes other than the first).
    """

    def __init__(self, console: Console | None):
        self.console = console
        self.rich: Progress | None = None
        if console is not None and console.is_terminal:
            self.rich = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
                expand=True,
                refresh_per_second=4,
            )

    def __enter__(self) -> "Screen":
        if self.rich is not None:
            self.rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.rich is not None:
            self.rich.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.console is not None:
            self.console.print(line, highlight=False, soft_wrap=True)


class Bar:
    """Work done of `total`, the figures of the moment, and the time that remains. A context manager.

    Args:
      total: units of the whole job, `done` of which were done before; None if nobody knows.
    """

    def __init__(self, screen: Screen, title: str, total: int | None, done: int = 0):
        self.screen, self.title, self.total = screen, title, total
        self._first, self._done, self._start = done, done, time.monotonic()
        self._spoken = self._start
        self._task: TaskID | None = None

    def __enter__(self) -> "Bar":
        if self.screen.rich is not None:
            self._task = self.screen.rich.add_task(self.title, total=self.total, completed=self._done, figures="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.screen.rich is not None and self._task is not None:
            self.screen.rich.remove_task(self._task)

    def update(self, done: int, figures: str = "") -> None:
        """Shows that `done` units are done, with a few words of figures."""
        self._done = done
        if self.screen.rich is not None and self._task is not None:
            self.screen.rich.update(self._task, completed=done, figures=figures)
        elif time.monotonic() - self._spoken >= LINE_EVERY:
            self._spoken = time.monotonic()
            if self.total is None:
                parts = [f"{self.title} {done}", figures]
            else:
                parts = [f"{self.title} {done}/{self.total}", figures, f"ETA {self._remaining(self.total)}"]
            self.screen.say("  ".join(part for part in parts if part))

    def _remaining(self, total: int) -> str:
        worked = self._done - self._first
        if worked <= 0:
            return "unknown"
        seconds = (time.monotonic() - self._start) / worked * (total - self._done)
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}"


_current: ContextVar[Screen | None] = ContextVar("screen of work on data", default=None)


@contextmanager
def drawn_on(screen: Screen) -> Iterator[None]:
    """Within it, what this thread does to data is drawn on a screen."""
    token = _current.set(screen)
    try:
        yield
    finally:
        _current.reset(token)


def data_bar(title: str, total: int | None = None) -> Bar:
    """The bar of a long piece of work on data, on the screen of `drawn_on`, if there is one."""
    return Bar(_current.get() or Screen(None), title, total)
