"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY = 10.0
"""Seconds between plain lines, at least."""


class ProgressBar:
    """Steps done of `total`, the figures of the moment, elapsed and remaining time. A context manager.

    Args:
      total: steps of the whole job.
      done: steps done before.
      console: where to draw; None draws nothing (the processes other than the first).
    """

    def __init__(self, title: str, total: int, done: int, console: Console | None):
        self.title, self.total, self.console = title, total, console
        self._first, self._done, self._start, self._spoken = done, done, time.monotonic(), time.monotonic()
        self._progress: Progress | None = None
        if console is not None and console.is_terminal:
            self._progress = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
                refresh_per_second=4,
            )
            self._bar = self._progress.add_task(title, total=total, completed=done, figures="")

    def __enter__(self) -> "ProgressBar":
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, done: int, figures: str = "") -> None:
        """Shows that `done` steps are done, with a few words of figures."""
        self._done = done
        if self._progress is not None:
            self._progress.update(self._bar, completed=done, figures=figures)
        elif self.console is not None and time.monotonic() - self._spoken >= LINE_EVERY:
            self._spoken = time.monotonic()
            self.say(f"{self.title} {done}/{self.total}  {figures}  ETA {self._remaining()}")

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.console is not None:
            self.console.print(line, highlight=False, soft_wrap=True)

    def _remaining(self) -> str:
        worked = self._done - self._first
        if worked <= 0:
            return "unknown"
        seconds = (time.monotonic() - self._start) / worked * (self.total - self._done)
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}"
